/** Figures in words. Decimal units (1 GB = 1e9 bytes), as downloads and disks are sold. */

const units = ['B', 'KB', 'MB', 'GB', 'TB'] as const;

/** `1.9 MB`, `24 GB`: two digits that matter, never more than one decimal. */
export function formatBytes(bytes: number): string {
  let value = Math.max(0, bytes);
  let unit = 0;
  // 999.5 would round to "1000", so the next unit begins just before it.
  while (value >= 999.5 && unit < units.length - 1) {
    value /= 1000;
    unit++;
  }
  return `${formatNumber(value, unit > 0 && value < 99.95 ? 1 : 0)} ${units[unit]}`;
}

/** `0.6 s`, `24 s`, `3 min 5 s`, `2 h 10 min`. */
export function formatDuration(ms: number): string {
  const seconds = Math.max(0, ms) / 1000;
  if (seconds < 9.95) return `${formatNumber(seconds, 1)} s`;
  if (seconds < 59.5) return `${Math.round(seconds)} s`;
  const minutes = Math.floor(Math.round(seconds) / 60);
  if (minutes < 10) return join(minutes, 'min', Math.round(seconds) % 60, 's');
  const wholeMinutes = Math.round(seconds / 60);
  if (wholeMinutes < 60) return `${wholeMinutes} min`;
  return join(Math.floor(wholeMinutes / 60), 'h', wholeMinutes % 60, 'min');
}

/** `8 s`, `1 min 20 s`: for times that tick while one looks at them; no decimals. */
export function formatClock(ms: number): string {
  return ms < 9_950 ? `${Math.round(ms / 1000)} s` : formatDuration(ms);
}

/** `0:12`, `3:05`, `1:02:03`: the length of a video. */
export function formatClockTime(seconds: number): string {
  const whole = Math.max(0, Math.round(seconds));
  const parts = [Math.floor(whole / 60) % 60, whole % 60];
  if (whole >= 3600) parts.unshift(Math.floor(whole / 3600));
  return parts.map((part, i) => (i === 0 ? String(part) : String(part).padStart(2, '0'))).join(':');
}

/** `21.4 tok/s`; a dash where there is no figure yet. */
export function formatRate(tokensPerSecond: number): string {
  if (!(tokensPerSecond > 0)) return '–';
  return `${formatNumber(tokensPerSecond, tokensPerSecond < 99.95 ? 1 : 0)} tok/s`;
}

/** `1,234`. */
export function formatNumber(value: number, decimals = 0): string {
  return value.toLocaleString('en', { minimumFractionDigits: 0, maximumFractionDigits: decimals });
}

function join(major: number, majorUnit: string, minor: number, minorUnit: string): string {
  return minor === 0 ? `${major} ${majorUnit}` : `${major} ${majorUnit} ${minor} ${minorUnit}`;
}
