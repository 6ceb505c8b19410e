/** What Comlink sends of errors, made to keep their class. To be called on both sides of a worker. */
import { transferHandlers } from 'comlink';
import { fromWire, toWire, type WireError } from '../errors.ts';

interface Thrown {
  readonly value: unknown;
}

let installed = false;

/** Comlink itself keeps `message`, `name` and `stack` alone: a `QwenError` would arrive without its code. */
export function keepErrorClasses(): void {
  if (installed) return;
  installed = true;
  const plain = transferHandlers.get('throw');
  if (plain === undefined) throw new Error('Comlink has no handler for errors any more');
  transferHandlers.set('throw', {
    canHandle: (value): value is Thrown => plain.canHandle(value),
    serialize: ({ value }: Thrown): [WireError, Transferable[]] => [toWire(value), []],
    deserialize: (wire: WireError): never => {
      throw fromWire(wire);
    },
  });
}
