export * from './policy.ts';
export {
  type ExpertBytes,
  ExpertResidency,
  type ExpertShelf,
  expertPlaces,
  type ResidencyCounts,
  type Wave,
} from './residency.ts';
export { ABSENT, SlotTable } from './slot-table.ts';
export * from './trace.ts';
export { ExpertUsage, loadUsage, saveUsage, usageKey } from './usage.ts';
