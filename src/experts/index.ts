export { ABSENT, SlotTable } from './slot-table.ts';
