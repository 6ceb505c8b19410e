/** Hands a file to the browser's downloads. */
export function download(file: File): void {
  const url = URL.createObjectURL(file);
  const link = document.createElement('a');
  link.href = url;
  link.download = file.name;
  link.click();
  // The browser has taken it over by the next task, but for Safari, which looks at the address a little later.
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}
