/** The last part of an address, as people write it. */
export function fileName(url: string): string {
  const name = url.split(/[?#]/)[0].split('/').pop() || url;
  try {
    return decodeURIComponent(name);
  } catch {
    return name;
  }
}
