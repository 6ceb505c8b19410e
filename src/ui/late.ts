/** Code that is fetched when it is first wanted, so that a page that never needs it never waits for it. */
export class Late<T> {
  private value?: T;
  private loading?: Promise<void>;

  constructor(private readonly load: () => Promise<T>) {}

  /** What is here already; else undefined, and `come` is called as soon as it is. Without a network it does not come. */
  get(come: () => void): T | undefined {
    if (this.value !== undefined) return this.value;
    this.loading ??= this.load().then(
      (value) => {
        this.value = value;
      },
      () => {
        this.loading = undefined; // the next one who wants it tries again
      },
    );
    void this.loading.then(() => this.value !== undefined && come());
    return undefined;
  }
}
