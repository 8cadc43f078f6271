import {
  type BackendEffect,
  type BackendEvent,
  type BackendState,
  backendTransition,
} from '../../src/xenbus/backend-table.ts';
import {
  type FrontendEffect,
  type FrontendEvent,
  type FrontendState,
  frontendTransition,
} from '../../src/xenbus/frontend-table.ts';
import {
  formatXenbusState,
  type OtherendState,
  parseXenbusState,
  type XenbusStateName,
} from '../../src/xenbus/state.ts';

type Role = 'front' | 'back';

interface Machine<S, E, F> {
  readonly transition: (from: S, event: E) => { to: S; effects: readonly F[] };
  readonly carryOut: (effect: F) => E | undefined;
}

/** One end: takes one event, or carries out one effect, a step; the other end can come between any two. */
class End<S, E, F> {
  state: S;
  readonly #machine: Machine<S, E, F>;
  readonly #waiting: (E | (() => E))[] = [];
  #effects: readonly F[] = [];
  #next: E | undefined;

  constructor(state: S, machine: Machine<S, E, F>) {
    this.state = state;
    this.#machine = machine;
  }

  get isIdle(): boolean {
    return this.#effects.length === 0 && this.#next === undefined && this.#waiting.length === 0;
  }

  /** An event, or how to find out which one when its turn comes. */
  tell(event: E | (() => E)): void {
    if (!this.#waiting.includes(event)) this.#waiting.push(event);
  }

  step(): void {
    const [effect, ...rest] = this.#effects;
    if (effect !== undefined) {
      this.#effects = rest;
      this.#next = this.#machine.carryOut(effect) ?? this.#next;
      return;
    }
    const event = this.#next ?? this.#waiting.shift();
    this.#next = undefined;
    if (event === undefined) return;
    const happened = event instanceof Function ? event() : event;
    const { to, effects } = this.#machine.transition(this.state, happened);
    this.state = to;
    this.#effects = effects;
  }
}

const WRITES: Readonly<Record<string, XenbusStateName>> = {
  writeInitialising: 'Initialising',
  writeInitWait: 'InitWait',
  writeInitialised: 'Initialised',
  writeConnected: 'Connected',
  writeClosing: 'Closing',
  writeClosed: 'Closed',
};

/**
 * A frontend and a backend that know each other only by two nodes; watches say "read it again", and merge.
 * Grants are generations: each publishing makes a new one, and its node stays when the grant ends.
 */
export class Conversation {
  /** The nodes' values; undefined: removed. */
  readonly nodes: Record<Role, string | undefined>;
  /** All that was written to each node, oldest first. */
  readonly written: Record<Role, string[]> = { front: [], back: [] };
  front: End<FrontendState, FrontendEvent, FrontendEffect>;
  back: End<BackendState, BackendEvent, BackendEffect>;
  /** Connections announced to the frontend's user, and ends of them. */
  announced: FrontendEffect[] = [];
  /** The grants that the node names, those that exist, and those that the backend has mapped. */
  published: number | undefined;
  granted: number | undefined;
  mapped: number | undefined;
  /** What becomes of the next attempts to map. */
  canMap = true;
  #generation = 0;

  /** Both have just been started: the frontend is at 1, and the backend's device is ready. */
  constructor(nodes: Record<Role, string | undefined> = { front: '1', back: '1' }) {
    this.nodes = { ...nodes };
    this.front = this.#newFront();
    this.back = this.#newBack();
    this.startFrontend();
    this.startBackend();
  }

  /** A new process takes the card over: its predecessor's grants are no more, the node is as it was left. */
  startFrontend(): void {
    this.granted = undefined;
    this.front = this.#newFront();
    this.#write('front', 'Initialising');
    this.front.tell(this.#readBack);
  }

  /** A new process serves the card: its predecessor's mappings are no more, the node is as it was left. */
  startBackend(): void {
    this.mapped = undefined;
    this.back = this.#newBack();
    this.back.tell('ready');
    this.back.tell(this.#readFront);
  }

  /** Somebody else writes or removes a node. */
  setNode(role: Role, value: string | undefined): void {
    this.nodes[role] = value;
    this.#fireWatch(role);
  }

  /** Both ends go on in turns, until nothing is left to do. */
  settle(): void {
    for (let steps = 0; !(this.front.isIdle && this.back.isIdle); steps++) {
      if (steps > 1000) throw new Error('they never come to rest');
      this.front.step();
      this.back.step();
    }
  }

  /** Both say that they are connected, and mean the same grants. */
  get isConnected(): boolean {
    const agree = this.mapped !== undefined && this.mapped === this.granted;
    return this.front.state === 'connected' && this.back.state === 'connected' && agree;
  }

  readonly #readBack = (): OtherendState => parseXenbusState(this.nodes.back);
  readonly #readFront = (): OtherendState => parseXenbusState(this.nodes.front);

  #newFront(): End<FrontendState, FrontendEvent, FrontendEffect> {
    return new End<FrontendState, FrontendEvent, FrontendEffect>('initialising', {
      transition: frontendTransition,
      carryOut: (effect) => this.#carryOutFront(effect),
    });
  }

  #newBack(): End<BackendState, BackendEvent, BackendEffect> {
    return new End<BackendState, BackendEvent, BackendEffect>('initialising', {
      transition: backendTransition,
      carryOut: (effect) => this.#carryOutBack(effect),
    });
  }

  #carryOutFront(effect: FrontendEffect): FrontendEvent | undefined {
    switch (effect) {
      case 'publish':
        this.granted = this.published = ++this.#generation;
        return 'published';
      case 'readAgain':
        return this.#readBack();
      case 'announceConnected':
      case 'announceLost':
      case 'announceClosed':
        this.announced.push(effect);
        return undefined;
      case 'resetRings':
      case 'hold': // tests say themselves when it is enough
        return undefined;
      case 'release':
        this.granted = undefined;
        return undefined;
      default:
        return this.#write('front', WRITES[effect]);
    }
  }

  #carryOutBack(effect: BackendEffect): BackendEvent | undefined {
    switch (effect) {
      case 'connect':
        if (!this.canMap || this.published !== this.granted) return 'connectFailed';
        this.mapped = this.published;
        return 'connectDone';
      case 'disconnect':
        this.mapped = undefined;
        return undefined;
      case 'readAgain':
        return this.#readFront();
      default:
        return this.#write('back', WRITES[effect]);
    }
  }

  #write(role: Role, state: XenbusStateName | undefined): undefined {
    if (state === undefined) throw new Error('an effect that this test does not know');
    if (role === 'back' && this.nodes.back === undefined) return undefined; // it leaves alone what would have one end only
    this.nodes[role] = formatXenbusState(state);
    this.written[role].push(this.nodes[role]);
    this.#fireWatch(role);
    return undefined;
  }

  #fireWatch(role: Role): void {
    if (role === 'front') this.back.tell(this.#readFront);
    else this.front.tell(this.#readBack);
  }
}
