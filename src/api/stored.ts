/** Work on stored models that may need the worker that reads their files. */
import * as weights from '../weights/index.ts';
import { startStorageWorker } from './start-worker.ts';

export const downloadModel: typeof weights.downloadModel = (...call) => {
  if (typeof Worker !== 'undefined') weights.provideStorageWorker(startStorageWorker);
  return weights.downloadModel(...call);
};
