export * from './policy.ts';
export { ABSENT, SlotTable } from './slot-table.ts';
export * from './trace.ts';
export { ExpertUsage, loadUsage, saveUsage, usageKey } from './usage.ts';
