/** Counts the bytes of a stream since OPEN or STOP, and sends the position whenever a period is full. */
export class PositionReports {
  readonly #periodBytes: number;
  readonly #send: (bytes: number) => void;
  #position = 0;
  #total = 0;
  #reported = 0;
  #hasEnded = false;

  /** `periodBytes`: 0 for no reports. */
  constructor(periodBytes: number, send: (bytes: number) => void) {
    this.#periodBytes = periodBytes;
    this.#send = send;
  }

  /** Bytes since OPEN or STOP. */
  get position(): number {
    return this.#position;
  }

  /** Bytes since OPEN, whatever was stopped meanwhile. */
  get total(): number {
    return this.#total;
  }

  /** The true count at this moment is higher by `bytes`: one report, however many periods that fills. */
  advance(bytes: number): void {
    this.#position += bytes;
    this.#total += bytes;
    const periodBytes = this.#periodBytes;
    if (Math.floor(this.#position / periodBytes) > Math.floor(this.#reported / periodBytes)) this.#report();
  }

  /** Sends what has not been sent yet, wherever in a period that is. */
  flush(): void {
    if (this.#position !== this.#reported) this.#report();
  }

  /** snd_xen_front keeps its position over STOP and START, and would trust the old one until it hears of another. */
  rewind(): void {
    const hasMoved = this.#reported > 0;
    this.#position = 0;
    if (hasMoved) this.#report();
    this.#reported = 0;
  }

  /** Nothing is sent any more. */
  end(): void {
    this.#hasEnded = true;
  }

  #report(): void {
    if (this.#periodBytes === 0 || this.#hasEnded) return;
    this.#reported = this.#position;
    this.#send(this.#position);
  }
}
