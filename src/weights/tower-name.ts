/** Published vision towers have `mmproj` in their names. */
export function isTower(name: string): boolean {
  return /mmproj/i.test(name);
}
