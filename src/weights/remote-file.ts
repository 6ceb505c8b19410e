/**
 * A file on a server as a byte source: what the store has comes from there, the rest by ranges, several at once, into
 * the store chunk by chunk while it streams.
 *
 * A missing chunk that somebody wants is a *flight*. Flights wait for a connection, the most urgent first; the one that
 * gets it takes its waiting neighbours along: together they are a *run*, carried by one request. Readers that want the
 * same chunk share its flight, and the most urgent one sets its priority. A run pauses while something more urgent is under
 * way, and ends early only when nobody waits for any of its flights any more. From a server without ranges one run carries
 * the whole file.
 */
import { QwenError, throwIfAborted } from '../errors.ts';
import type { ByteSource } from './byte-source.ts';
import { FIRST_READ_BYTES } from './gguf.ts';
import { HttpFile, type HttpOptions, RangeIgnored } from './http-file.ts';
import { Limiter, rank } from './limiter.ts';
import { MemoryFile } from './memory-store.ts';
import { type ChunkFile, type ChunkStore, chunkLength, EXPERT_CHUNK_BYTES } from './store.ts';
import type { ReadPriority } from './types.ts';

/** Requests in flight for all files of a model. Browsers open six connections to an HTTP/1.1 server: two stay free. */
export const REQUESTS_IN_FLIGHT = 4;
/** Paused downloads keep their connections: what a step waits for takes the two that stay free. */
export const URGENT_REQUESTS_IN_FLIGHT = 6;
/** Largest range of one request: long enough to forget its latency, short enough that several run side by side. */
const REQUEST_BYTES = 8 * 1024 * 1024;
/** A request is at least this long, where chunks are smaller and the file goes on. */
const READ_AHEAD_BYTES = 1024 * 1024;
/** Blobs read at once: four brought 960 MB/s where one brought 600. */
const STORE_READS_IN_FLIGHT = 4;

interface Flight {
  readonly index: number;
  readonly arrived: Promise<Uint8Array<ArrayBuffer>>;
  resolve(bytes: Uint8Array<ArrayBuffer>): void;
  reject(error: unknown): void;
  readers: number;
  priority: ReadPriority;
  /** Absent while it waits for a connection. */
  run?: Run;
}

/** Flights still to come with one request. */
interface Run {
  readonly controller: AbortController;
  readonly flights: Set<Flight>;
}

export class RemoteFile implements ByteSource {
  networkBytes = 0;
  storeBytes = 0;
  /** The first bytes of the file, read for the header; after that what lies in a chunk that is not whole yet. */
  private head = new Uint8Array(0);
  private headStart = 0;
  private dataStart = 0;
  private headerDone = false;
  private readonly flights = new Map<number, Flight>();
  private readonly runs = new Set<Run>();
  /** Per chunk: tensor bytes that came over the network and were not handed out yet. */
  private readonly fresh = new Map<number, number>();
  private readonly storeReads = new Limiter(STORE_READS_IN_FLIGHT);
  /** Of the store's chunks the one that was read last, and its bytes if all of them were read. */
  private lastRead: { index: number; whole?: Promise<Uint8Array<ArrayBuffer> | undefined> } = { index: -1 };
  /** The run that carries the whole file. */
  private whole: Run | undefined;
  private ignoresRanges = false;
  private closed = false;
  /** Said once. */
  private storeFull = false;

  /**
   * @param network shared by the files of a model
   * @throws QwenError as the server and the store give cause to
   */
  static async open(
    url: string,
    store: ChunkStore,
    network: Limiter,
    options: HttpOptions | undefined,
    signal?: AbortSignal,
  ): Promise<RemoteFile> {
    throwIfAborted(signal);
    const http = new HttpFile(url, options);
    const opening = new AbortController();
    const unlink = follow(signal, opening);
    try {
      const stored = await store.find(http.url);
      if (stored) {
        const state = await http.check(stored.version, opening.signal);
        if (state !== 'changed') {
          if (state === 'unconfirmed') {
            console.warn(`${http.url}: the server did not say whether the file has changed; what is stored is used.`);
          }
          http.version = stored.version;
          return new RemoteFile(http, stored, network);
        }
        console.warn(`${http.url} has changed on the server: what was stored of it is dropped.`);
        await store.delete(http.url);
      }

      const answer = await network.run(() => http.open(FIRST_READ_BYTES, opening.signal), {
        priority: asUrgent,
        signal: opening.signal,
      });
      if (answer.kind === 'part') {
        const file = new RemoteFile(http, await store.open(answer.version, largestChunk(answer.head)), network);
        await file.extendHead(answer.head);
        return file;
      }
      if (answer.size !== undefined) {
        const { response, size } = answer;
        http.version = versionOf(http.url, response, size);
        const file = new RemoteFile(http, await store.open(http.version), network);
        file.startWhole(response, opening);
        return file;
      }
      return await RemoteFile.openWithoutLength(http, answer.response, store, network, opening.signal);
    } finally {
      unlink();
    }
  }

  /** The server tells neither ranges nor length: the file's size is known when its last byte is here. */
  private static async openWithoutLength(
    http: HttpFile,
    response: Response,
    store: ChunkStore,
    network: Limiter,
    signal: AbortSignal,
  ): Promise<RemoteFile> {
    warnOfWholeFile(http.url);
    const blobs: Blob[] = [];
    let pending: Uint8Array<ArrayBuffer>[] = [];
    let size = 0;
    for await (const piece of http.pieces(response, signal)) {
      size += piece.length;
      pending.push(piece);
      if (pending.length >= PIECES_A_BLOB) blobs.push(new Blob(pending.splice(0)));
    }
    blobs.push(new Blob(pending));
    pending = [];
    const body = new Blob(blobs);
    http.version = versionOf(http.url, response, size);
    const file = new RemoteFile(http, await store.open(http.version), network);
    file.ignoreRanges();
    for (let at = 0; at < size; at += file.chunkBytes) {
      const index = at / file.chunkBytes;
      throwIfAborted(signal);
      await file.arrive(index, new Uint8Array(await body.slice(at, at + file.lengthOf(index)).arrayBuffer()));
    }
    return file;
  }

  private constructor(
    private readonly http: HttpFile,
    private readonly chunks: ChunkFile,
    private readonly network: Limiter,
  ) {}

  get file(): string {
    return this.http.url;
  }

  get size(): number {
    return this.chunks.version.size;
  }

  /** Bytes that are not in the store yet. */
  get missingBytes(): number {
    let bytes = this.size;
    for (const index of this.chunks.present) bytes -= this.lengthOf(index);
    return bytes;
  }

  async prefix(bytes: number, signal?: AbortSignal): Promise<Uint8Array<ArrayBuffer>> {
    while (this.head.length < bytes && !this.ignoresRanges) {
      const start = this.head.length;
      const index = Math.floor(start / this.chunkBytes);
      const stored = this.chunks.present.has(index);
      let next = index + 1;
      while (next * this.chunkBytes < bytes && this.chunks.present.has(next) === stored) next++;
      const end = Math.min(next * this.chunkBytes, bytes);
      await this.extendHead(
        stored
          ? await this.collect(start, end, signal, 'urgent', () => {})
          : await this.fetchExactly(start, end, signal),
      );
    }
    if (this.head.length < bytes) this.head = await this.collect(0, bytes, signal, 'urgent', () => {});
    return this.head;
  }

  headerEndsAt(dataStart: number): void {
    this.dataStart = dataStart;
    this.headerDone = true;
    for (const index of this.fresh.keys()) this.fresh.set(index, this.tensorBytesIn(index));
    this.dropStoredHead();
  }

  isLocal(start: number, end: number): boolean {
    for (let index = Math.floor(start / this.chunkBytes); index * this.chunkBytes < end; index++) {
      if (!this.chunks.present.has(index)) return false;
    }
    return true;
  }

  async download(signal?: AbortSignal): Promise<void> {
    if (this.chunks instanceof MemoryFile) return;
    const chunks = Math.ceil(this.size / this.chunkBytes);
    const chunksARequest = Math.max(1, Math.floor(REQUEST_BYTES / this.chunkBytes));
    let next = 0;
    const fetchNext = async (): Promise<void> => {
      while (next < chunks) {
        const first = next;
        while (next < chunks && next - first < chunksARequest && !this.chunks.present.has(next)) next++;
        if (next === first) next++;
        else await this.arrival(first, next - 1, signal);
      }
    };
    await Promise.all(Array.from({ length: REQUESTS_IN_FLIGHT }, fetchNext));
  }

  read(
    start: number,
    end: number,
    signal?: AbortSignal,
    priority: ReadPriority = 'background',
  ): Promise<Uint8Array<ArrayBuffer>> {
    return this.collect(start, end, signal, priority, (index, bytes) => {
      const fromNetwork = Math.min(this.fresh.get(index) ?? 0, bytes);
      if (fromNetwork > 0) this.fresh.set(index, this.fresh.get(index)! - fromNetwork);
      this.networkBytes += fromNetwork;
      this.storeBytes += bytes - fromNetwork;
    });
  }

  close(): void {
    this.closed = true;
    this.lastRead = { index: -1 };
    const error = new QwenError('disposed', `${this.file} was closed.`, { file: this.file });
    for (const run of this.runs) this.failRun(run, error);
    for (const flight of this.flights.values()) this.reject(flight, error);
  }

  private get chunkBytes(): number {
    return this.chunks.chunkBytes;
  }

  private lengthOf(index: number): number {
    return chunkLength(index, this.chunkBytes, this.size);
  }

  /** Bytes `[start, end)` out of chunks that are stored, on their way, or now asked for. */
  private async collect(
    start: number,
    end: number,
    signal: AbortSignal | undefined,
    priority: ReadPriority,
    count: (index: number, bytes: number) => void,
  ): Promise<Uint8Array<ArrayBuffer>> {
    this.check(signal);
    if (end === start) return new Uint8Array(0);
    const first = Math.floor(start / this.chunkBytes);
    const last = Math.floor((end - 1) / this.chunkBytes);
    this.askForMissing(first, last, priority);

    const reader = new Reader(signal);
    const takeChunk = async (index: number): Promise<Uint8Array<ArrayBuffer>> => {
      const chunkStart = index * this.chunkBytes;
      const from = Math.max(start, chunkStart);
      const to = Math.min(end, chunkStart + this.chunkBytes);
      const onItsWay = this.flights.get(index);
      const bytes = onItsWay
        ? (await reader.claim(onItsWay)).subarray(from - chunkStart, to - chunkStart)
        : await this.readStored(index, from - chunkStart, to - chunkStart, reader, priority);
      count(index, to - from);
      return bytes;
    };
    try {
      if (first === last) return await reader.unlessAborted(takeChunk(first));
      const out = new Uint8Array(end - start);
      const taken: Promise<void>[] = [];
      for (let index = first; index <= last; index++) {
        const at = Math.max(0, index * this.chunkBytes - start);
        taken.push(takeChunk(index).then((bytes) => out.set(bytes, at)));
      }
      await reader.unlessAborted(Promise.all(taken));
      return out;
    } finally {
      // After a failure or an abort there are claims left: the last reader's end the request.
      for (const flight of reader.end()) this.leave(flight);
    }
  }

  /** Resolves when chunks `first` to `last`, of which none is stored, have been. */
  private async arrival(first: number, last: number, signal: AbortSignal | undefined): Promise<void> {
    this.check(signal);
    this.askForMissing(first, last, 'background');
    const reader = new Reader(signal);
    try {
      const flights: Promise<unknown>[] = [];
      for (let index = first; index <= last; index++) {
        const flight = this.flights.get(index);
        if (flight) flights.push(reader.claim(flight));
      }
      await reader.unlessAborted(Promise.all(flights));
    } finally {
      for (const flight of reader.end()) this.leave(flight);
    }
  }

  private check(signal: AbortSignal | undefined): void {
    throwIfAborted(signal);
    if (this.closed) throw new QwenError('disposed', `${this.file} was closed.`, { file: this.file });
  }

  private async readStored(
    index: number,
    from: number,
    to: number,
    reader: Reader,
    priority: ReadPriority,
  ): Promise<Uint8Array<ArrayBuffer>> {
    const stored = await this.storedPart(index, from, to, reader, priority);
    if (reader.ended) throw new DOMException('The read has ended', 'AbortError');
    if (stored) return stored;
    return (await reader.claim(this.flightTo(index, priority))).subarray(from, to);
  }

  /**
   * A part of a stored chunk. Reading a file from end to end takes most chunks in parts, and each read of a part has a price of
   * its own (milliseconds, in IndexedDB): so what seems to be such a reading gets the chunk whole, for the next part, too.
   */
  private async storedPart(
    index: number,
    from: number,
    to: number,
    reader: Reader,
    priority: ReadPriority,
  ): Promise<Uint8Array<ArrayBuffer> | undefined> {
    const order = { priority: () => priority };
    const length = this.lengthOf(index);
    const comesAgain = this.lastRead.index === index;
    const { whole } = this.lastRead;
    if (comesAgain && whole) return (await whole)?.subarray(from, to);
    const isMost = 2 * (to - from) >= length;
    if (!comesAgain && !isMost) {
      this.lastRead = { index };
      return this.storeReads.run(async () => (reader.ended ? undefined : this.chunks.read(index, from, to)), order);
    }
    const bytes = this.storeReads.run(() => this.chunks.read(index, 0, length), order);
    this.lastRead = { index, whole: bytes };
    return (await bytes)?.subarray(from, to);
  }

  private askForMissing(first: number, last: number, priority: ReadPriority): void {
    for (let index = first; index <= last; index++) {
      if (!this.chunks.present.has(index)) this.flightTo(index, priority);
    }
  }

  /** The flight that brings this chunk, at least with this priority. */
  private flightTo(index: number, priority: ReadPriority): Flight {
    const known = this.flights.get(index);
    if (known) {
      if (rank[priority] < rank[known.priority]) {
        known.priority = priority;
        this.network.changed();
      }
      return known;
    }
    const flight = this.addFlight(index, priority);
    if (this.ignoresRanges) {
      this.join(flight, this.whole ?? this.startWhole());
      return flight;
    }
    this.network
      // A run is as urgent as what is still to come with it: one that has brought what was urgent must not wait for itself.
      .run(() => this.depart(flight), {
        priority: () => (flight.run ? mostUrgent(flight.run.flights) : flight.priority),
      })
      .catch((error) => this.reject(flight, error));
    return flight;
  }

  private addFlight(index: number, priority: ReadPriority): Flight {
    let resolve!: Flight['resolve'];
    let reject!: Flight['reject'];
    const arrived = new Promise<Uint8Array<ArrayBuffer>>((yes, no) => {
      resolve = yes;
      reject = no;
    });
    arrived.catch(() => {}); // All its readers may have left.
    const flight: Flight = { index, arrived, resolve, reject, readers: 0, priority };
    this.flights.set(index, flight);
    return flight;
  }

  private join(flight: Flight, run: Run): void {
    flight.run = run;
    run.flights.add(flight);
  }

  private reject(flight: Flight, error: unknown): void {
    if (this.flights.get(flight.index) === flight) this.flights.delete(flight.index);
    flight.reject(error);
  }

  /** A connection is free for this flight. */
  private async depart(flight: Flight): Promise<void> {
    // It left with a neighbour meanwhile, or nobody waits for it any more.
    if (flight.run || this.flights.get(flight.index) !== flight) return;
    if (this.ignoresRanges) {
      // The whole file's download may have passed this chunk.
      if (this.chunks.present.has(flight.index)) return this.landFromStore(flight);
      this.join(flight, this.whole ?? this.startWhole());
      return;
    }
    const run: Run = { controller: new AbortController(), flights: new Set() };
    this.runs.add(run);
    const [first, last] = this.board(flight, run);
    try {
      await this.transfer(first, last, run);
    } catch (error) {
      if (error instanceof RangeIgnored) this.moveToWhole(run, error.response);
      else this.failRun(run, error);
    } finally {
      this.runs.delete(run);
    }
  }

  /** Puts the flight and the waiting neighbours of its priority on one run. @returns its first and last chunk */
  private board(flight: Flight, run: Run): [first: number, last: number] {
    const chunksARequest = Math.max(1, Math.floor(REQUEST_BYTES / this.chunkBytes));
    const goesAlong = (index: number) => {
      const other = this.flights.get(index);
      return other !== undefined && !other.run && other.priority === flight.priority;
    };
    let [first, last] = [flight.index, flight.index];
    while (last - first + 1 < chunksARequest && goesAlong(first - 1)) first--;
    while (last - first + 1 < chunksARequest && goesAlong(last + 1)) last++;
    for (let index = first; index <= last; index++) this.join(this.flights.get(index)!, run);
    // Small tensors lie side by side and are read one after another: a request brings the next ones along.
    const chunksAhead = Math.floor(READ_AHEAD_BYTES / this.chunkBytes);
    const chunksOfFile = Math.ceil(this.size / this.chunkBytes);
    const missing = (index: number) =>
      index < chunksOfFile && !this.chunks.present.has(index) && !this.flights.has(index);
    while (last - first + 1 < Math.min(chunksAhead, chunksARequest) && missing(last + 1)) {
      last++;
      this.join(this.addFlight(last, flight.priority), run);
    }
    return [first, last];
  }

  private async transfer(first: number, last: number, run: Run): Promise<void> {
    const { signal } = run.controller;
    const end = last * this.chunkBytes + this.lengthOf(last);
    const assembler = this.assembler(first);
    const from = first * this.chunkBytes - this.headStart;
    const known = from < 0 ? new Uint8Array(0) : this.head.subarray(from, end - this.headStart);
    const start = first * this.chunkBytes + known.length;
    await assembler(known);
    for await (const piece of this.http.stream(start, end, signal)) {
      await assembler(piece);
      // Unread, the body fills its window and the server waits: the bandwidth goes to what is urgent.
      if (run.flights.size > 0) await this.network.giveWay(() => mostUrgent(run.flights), signal);
    }
  }

  /** Takes bytes in order from the start of chunk `first` on, and lets each chunk arrive when it is whole. */
  private assembler(first: number, wanted = (_index: number) => true): (piece: Uint8Array) => Promise<void> {
    let index = first;
    let filled = 0;
    let buffer: Uint8Array<ArrayBuffer> | undefined;
    return async (piece) => {
      for (let at = 0; at < piece.length; ) {
        const length = this.lengthOf(index);
        const take = Math.min(length - filled, piece.length - at);
        if (filled === 0) buffer = wanted(index) ? new Uint8Array(length) : undefined;
        buffer?.set(piece.subarray(at, at + take), filled);
        filled += take;
        at += take;
        if (filled < length) continue;
        const whole = buffer;
        buffer = undefined;
        filled = 0;
        index++;
        // Waiting for the store here holds the network back when it is faster than the disk.
        if (whole) await this.arrive(index - 1, whole);
      }
    };
  }

  private async arrive(index: number, bytes: Uint8Array<ArrayBuffer>): Promise<void> {
    this.fresh.set(index, this.tensorBytesIn(index));
    // A step that waits has its bytes before the store has, and also where the store has no room.
    const flight = this.flights.get(index);
    const waited = flight?.priority === 'urgent';
    if (waited) flight.resolve(bytes);
    try {
      await this.chunks.put(index, bytes);
    } catch (error) {
      if (!waited || !(error instanceof QwenError)) throw error;
      if (!this.storeFull)
        console.warn(`${error.message} Until then these bytes are fetched whenever they are needed.`);
      this.storeFull = true;
    }
    // A flight may have been added while the store wrote.
    const landed = this.flights.get(index);
    if (landed) {
      this.flights.delete(index);
      landed.run?.flights.delete(landed);
      landed.resolve(bytes);
      // What is left of its run may be less urgent: others need not give way to it any more.
      if (landed.priority !== 'background') this.network.changed();
    }
    this.dropStoredHead();
  }

  private failRun(run: Run, error: unknown): void {
    run.controller.abort(error);
    this.runs.delete(run);
    if (this.whole === run) this.whole = undefined;
    for (const flight of run.flights) {
      if (this.flights.get(flight.index) === flight) this.flights.delete(flight.index);
      flight.reject(error);
    }
    run.flights.clear();
  }

  /** A reader gives a flight up; the last one ends the request. */
  private leave(flight: Flight): void {
    flight.readers--;
    const { run } = flight;
    if (!run) {
      if (flight.readers === 0)
        this.reject(flight, new DOMException('Nobody waits for these bytes any more', 'AbortError'));
      return;
    }
    if (!run.flights.has(flight)) return;
    for (const { readers } of run.flights) if (readers > 0) return;
    this.failRun(run, new DOMException('Nobody waits for these bytes any more', 'AbortError'));
  }

  // A server without ranges

  private ignoreRanges(): void {
    this.ignoresRanges = true;
    if (this.chunks instanceof MemoryFile) this.chunks.keepEverything();
  }

  private startWhole(response?: Response, controller = new AbortController()): Run {
    if (!this.ignoresRanges) warnOfWholeFile(this.file);
    this.ignoreRanges();
    const run: Run = { controller, flights: new Set() };
    this.whole = run;
    this.runs.add(run);
    this.downloadWhole(response, controller.signal)
      .then(
        () => this.failRun(run, this.endedEarly()),
        (error) => this.failRun(run, error),
      )
      .finally(() => this.runs.delete(run));
    return run;
  }

  /** The first run that meets a server without ranges turns its answer into the download of all. */
  private moveToWhole(run: Run, response: Response): void {
    const { signal } = run.controller;
    for (const flight of run.flights) {
      if (this.chunks.present.has(flight.index)) void this.landFromStore(flight);
    }
    const toCome = [...run.flights].filter(({ index }) => !this.chunks.present.has(index));
    const ended = this.closed || signal.aborted;
    if (ended || this.whole || toCome.length === 0) response.body?.cancel().catch(() => {});
    if (ended) this.failRun(run, signal.reason ?? new DOMException('The file was closed', 'AbortError'));
    if (ended || toCome.length === 0) return;
    // The response belongs to the run's request, so its controller has to end it.
    const whole = this.whole ?? this.startWhole(response, run.controller);
    for (const flight of toCome) {
      run.flights.delete(flight);
      this.join(flight, whole);
    }
  }

  /** The whole file's download passed this chunk before its flight joined. */
  private async landFromStore(flight: Flight): Promise<void> {
    try {
      const bytes = await this.chunks.read(flight.index, 0, this.lengthOf(flight.index));
      if (!bytes) throw this.endedEarly();
      flight.resolve(bytes);
    } catch (error) {
      flight.reject(error);
    }
    if (this.flights.get(flight.index) === flight) this.flights.delete(flight.index);
    flight.run?.flights.delete(flight);
  }

  private async downloadWhole(first: Response | undefined, signal: AbortSignal): Promise<void> {
    const attempts = 3;
    for (let attempt = 1, response = first; ; attempt++, response = undefined) {
      response ??= await this.http.requestWhole(signal);
      // A second attempt passes over what the first one stored.
      const assembler = this.assembler(0, (index) => !this.chunks.present.has(index));
      let received = 0;
      try {
        for await (const piece of this.http.pieces(response, signal)) {
          if (received + piece.length > this.size) throw this.longerThanTold();
          received += piece.length;
          await assembler(piece);
        }
        if (received === this.size) return;
      } catch (error) {
        throwIfAborted(signal);
        if (error instanceof QwenError || attempt === attempts) throw error;
      }
      if (attempt === attempts) throw this.endedEarly();
    }
  }

  private endedEarly(): QwenError {
    return new QwenError(
      'network',
      `${this.file} broke off before its end, and its server cannot resume a download. Load it again, or use a server that supports range requests.`,
      { file: this.file },
    );
  }

  private longerThanTold(): QwenError {
    return new QwenError(
      'http-error',
      `${this.file} is longer than its server announced: it is sent compressed, without ranges. Have the server send it as it is, with range requests.`,
      { file: this.file },
    );
  }

  // The header's bytes

  private async fetchExactly(start: number, end: number, signal?: AbortSignal): Promise<Uint8Array<ArrayBuffer>> {
    const request = new AbortController();
    const unlink = follow(signal, request);
    const out = new Uint8Array(end - start);
    try {
      await this.network.run(
        async () => {
          let at = 0;
          for await (const piece of this.http.stream(start, end, request.signal)) {
            out.set(piece, at);
            at += piece.length;
          }
        },
        { priority: asUrgent, signal: request.signal },
      );
      return out;
    } catch (error) {
      if (!(error instanceof RangeIgnored)) throw error;
      this.startWhole(error.response, request);
      return new Uint8Array(0);
    } finally {
      unlink();
    }
  }

  private async extendHead(bytes: Uint8Array<ArrayBuffer>): Promise<void> {
    const start = this.head.length;
    const head = new Uint8Array(start + bytes.length);
    head.set(this.head);
    head.set(bytes, start);
    this.head = head;
    for (let index = Math.floor(start / this.chunkBytes); index * this.chunkBytes < head.length; index++) {
      const end = index * this.chunkBytes + this.lengthOf(index);
      if (end > head.length) break;
      if (!this.chunks.present.has(index)) await this.arrive(index, head.slice(index * this.chunkBytes, end));
    }
  }

  private dropStoredHead(): void {
    if (!this.headerDone || this.head.length === 0) return;
    const headEnd = this.headStart + this.head.length;
    const lastChunk = Math.floor((headEnd - 1) / this.chunkBytes);
    const start = this.chunks.present.has(lastChunk) ? headEnd : lastChunk * this.chunkBytes;
    if (start === this.headStart) return;
    this.head = this.head.slice(start - this.headStart);
    this.headStart = start;
  }

  private tensorBytesIn(index: number): number {
    const start = index * this.chunkBytes;
    return Math.max(0, start + this.lengthOf(index) - Math.max(start, this.dataStart));
  }
}

const asUrgent = () => 'urgent' as const;

function mostUrgent(flights: Iterable<Flight>): ReadPriority {
  let priority: ReadPriority = 'background';
  for (const flight of flights) if (rank[flight.priority] < rank[priority]) priority = flight.priority;
  return priority;
}

/** Files of experts are read by the expert: smaller chunks, so that less comes along with one. */
function largestChunk(head: Uint8Array): number | undefined {
  // The architecture is among the first entries of a model's first shard, tensor names are in the head of the others.
  return /qwen35moe|_exps\./.test(new TextDecoder('latin1').decode(head.subarray(0, 64 * 1024)))
    ? EXPERT_CHUNK_BYTES
    : undefined;
}

/** Pieces of a body are some ten kilobytes each; as Blobs of some megabytes they can leave the memory. */
const PIECES_A_BLOB = 128;

/** One call of `read`: the flights it waits for, and its abort. */
class Reader {
  ended = false;
  private readonly claims = new Set<Flight>();
  private readonly aborted: Promise<never>;
  private abort!: () => void;

  constructor(private readonly signal: AbortSignal | undefined) {
    this.aborted = new Promise((_, reject) => {
      this.abort = () => reject(signal?.reason);
    });
    this.aborted.catch(() => {}); // It may come when nobody waits any more.
    signal?.addEventListener('abort', this.abort, { once: true });
  }

  async claim(flight: Flight): Promise<Uint8Array<ArrayBuffer>> {
    flight.readers++;
    this.claims.add(flight);
    const bytes = await flight.arrived;
    this.claims.delete(flight);
    return bytes;
  }

  unlessAborted<T>(work: Promise<T>): Promise<T> {
    return Promise.race([work, this.aborted]);
  }

  /** The flights that are still claimed. */
  end(): ReadonlySet<Flight> {
    this.ended = true;
    this.signal?.removeEventListener('abort', this.abort);
    return this.claims;
  }
}

/** Lets `controller` abort with `signal`; returns the way to end that. */
function follow(signal: AbortSignal | undefined, controller: AbortController): () => void {
  if (!signal) return () => {};
  const onAbort = () => controller.abort(signal.reason);
  if (signal.aborted) onAbort();
  signal.addEventListener('abort', onAbort, { once: true });
  return () => signal.removeEventListener('abort', onAbort);
}

function versionOf(url: string, { headers }: Response, size: number) {
  return {
    url,
    size,
    etag: headers.get('etag')?.replace(/^W\//, '') ?? undefined,
    lastModified: headers.get('last-modified') ?? undefined,
  };
}

function warnOfWholeFile(url: string): void {
  console.warn(`${url}: the server does not support range requests, so the whole file is downloaded in one piece.`);
}
