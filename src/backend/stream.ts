import { Field, type Fields, requireNumber } from '../config/fields.ts';
import { ReleaseStack } from '../release-stack.ts';
import { EventProducer } from '../wire/event-page.ts';
import { BackRing } from '../wire/ring.ts';
import { decodeRequest, encodeCurPos, encodeResponse, newEntry, type SndifResponse } from '../wire/sndif.ts';
import type { EventPort, Hypervisor } from '../xen/hypervisor.ts';
import { CommandHandler, type CommandHandlerOptions } from './command-handler.ts';
import type { BackendStreamStatus } from './status.ts';
import type { Turns, TurnTaker } from './turns.ts';

const U32_MAX = 0xffff_ffff;

/** What a stream is served with. */
export type BackendStreamOptions = Omit<CommandHandlerOptions, 'mapper' | 'clock' | 'sendPosition'> & {
  readonly hypervisor: Hypervisor;
  /** Those of the whole backend. */
  readonly turns: Turns;
};

/** The backend's end of one stream's channel: takes requests from the ring in order, answers them, sends events. */
export class BackendStream implements TurnTaker {
  readonly #ring: BackRing;
  readonly #events: EventProducer;
  readonly #ringPort: EventPort;
  readonly #eventPort: EventPort;
  readonly #handler: CommandHandler;
  readonly #turns: Turns;
  readonly #domid: number;
  readonly #identity: Omit<BackendStreamStatus, 'device' | 'open' | 'totals'>;
  readonly #releases: ReleaseStack;
  readonly #warn: (message: string) => void;
  /** What is being taken in, or sent: every request, response and event in its turn. */
  readonly #entry = newEntry();
  readonly #counts = { requests: 0, notifications: 0, idleNotifications: 0 };
  #nextEventId = 0;
  /** From the notification of a request until none is left: it waits for a turn, or for an answer that takes its time. */
  #isServing = false;
  /** Resolves when the last answer that took its time is out. */
  #answering: Promise<void> | undefined;
  #ended = false;

  /**
   * Maps and binds what the frontend published in `fields`. Rejects with ERR_VSND_CONFIG for a missing or odd value,
   * with ERR_VSND_HYPERVISOR for pages or ports that are not for us, with {@link LimitRefusal}; nothing is held then.
   */
  static async connect(fields: Fields, options: BackendStreamOptions): Promise<BackendStream> {
    const { guest, hypervisor, frontendDomid, config } = options;
    const releases = new ReleaseStack();
    const map = async (name: string) => {
      const gref = requireNumber(fields, name, config.path, 1, U32_MAX);
      const page = await hypervisor.mapper.map(frontendDomid, [gref]);
      releases.push(() => page.release());
      return page;
    };
    const bind = async (name: string) => {
      const remote = requireNumber(fields, name, config.path, 1, U32_MAX);
      const port = await hypervisor.eventChannels.bindInterdomain(frontendDomid, remote);
      releases.push(() => port.unbind());
      return port;
    };
    try {
      releases.push(guest.hold('streams', 1, 'one more stream'));
      releases.push(guest.hold('pages', 2, "pages of a stream's rings"));
      const ring = new BackRing(await map(Field.ringRef));
      const events = new EventProducer(await map(Field.evtRingRef));
      const ringPort = await bind(Field.eventChannel);
      const eventPort = await bind(Field.evtEventChannel);
      const stream = new BackendStream(ring, events, ringPort, eventPort, releases, options);
      ringPort.onNotify(stream.#handleNotification);
      return stream;
    } catch (error) {
      await releases.releaseAll();
      throw error;
    }
  }

  private constructor(
    ring: BackRing,
    events: EventProducer,
    ringPort: EventPort,
    eventPort: EventPort,
    releases: ReleaseStack,
    options: BackendStreamOptions,
  ) {
    this.#ring = ring;
    this.#events = events;
    this.#ringPort = ringPort;
    this.#eventPort = eventPort;
    this.#releases = releases;
    this.#warn = options.warn;
    this.#turns = options.turns;
    this.#domid = options.frontendDomid;
    const { config, device } = options;
    this.#identity = { type: config.type, stream: config.index, target: device.description };
    this.#handler = new CommandHandler({
      ...options,
      mapper: options.hypervisor.mapper,
      clock: options.hypervisor.clock,
      sendPosition: this.#sendPosition,
    });
  }

  /** What the guest does with it. */
  get status(): Omit<BackendStreamStatus, 'device'> {
    const totals = { ...this.#counts, ...this.#handler.totals };
    return { ...this.#identity, open: this.#handler.status, totals };
  }

  /** Stops the device and lets go of pages and ports. Idempotent. */
  async close(): Promise<void> {
    this.#ended = true;
    this.#turns.leave(this.#domid, this);
    await this.#handler.close();
    await this.#answering;
    await this.#handler.close(); // an OPEN may have been under way
    await this.#releases.releaseAll();
  }

  /** One turn: requests that come meanwhile are for the next, also where there is time left. */
  takeTurn(): boolean {
    try {
      for (let left = this.#ring.announced, isTime = true; left > 0 && !this.#ended; left--) {
        if (!isTime) return true;
        if (!this.#ring.take(this.#entry.bytes)) break;
        const response = this.#handler.handle(decodeRequest(this.#entry.bytes, this.#entry.view));
        isTime = this.#turns.spend();
        if (response instanceof Promise) {
          this.#answering = response.then((late) => this.#answerLate(late));
          return false;
        }
        this.#answer(response);
      }
      if (!this.#ended && this.#ring.rearm()) return true;
    } catch (error) {
      this.#end(error as Error);
    }
    this.#isServing = false;
    return false;
  }

  readonly #handleNotification = (): void => {
    this.#counts.notifications += 1;
    if (this.#isServing || !this.#hasRequests()) {
      this.#counts.idleNotifications += 1;
      this.#ringPort.idle();
      return;
    }
    this.#isServing = true;
    this.#turns.ask(this.#domid, this);
  };

  #hasRequests(): boolean {
    if (this.#ended) return false;
    try {
      return this.#ring.announced > 0;
    } catch (error) {
      this.#end(error as Error);
      return false;
    }
  }

  #answer(response: SndifResponse): void {
    this.#ring.put(encodeResponse(response, this.#entry));
    this.#counts.requests += 1;
    if (this.#ring.publish()) this.#ringPort.notify();
  }

  #answerLate(response: SndifResponse): void {
    this.#turns.spendLate(this.#domid);
    try {
      this.#answer(response);
    } catch (error) {
      this.#end(error as Error);
    }
    if (!this.#ended) this.#turns.ask(this.#domid, this);
  }

  readonly #sendPosition = (bytes: number): void => {
    if (this.#ended) return;
    const event = encodeCurPos({ id: this.#nextEventId, position: bytes }, this.#entry);
    try {
      // One that the full ring drops uses up no id: snd_xen_front ignores all that is behind a gap, for good.
      if (this.#events.put(event)) this.#nextEventId = (this.#nextEventId + 1) & 0xffff;
      else this.#warn('the event ring is full; a position was dropped');
      this.#eventPort.notify();
    } catch (error) {
      this.#end(error as Error);
    }
  };

  /** A corrupt index: this channel is dead until the frontend connects anew; the card's others go on. */
  #end(error: Error): void {
    this.#warn(error.message);
    this.#ended = true;
    void this.#handler.close();
  }
}
