import { followProgram, runProgram } from './program.ts';

/** A node of PipeWire's graph. */
export interface PipeWireNode {
  readonly name: string;
  /** The path of its FIFO, where it is one of module-pipe-tunnel's. */
  readonly fifo: string | undefined;
  /** 'suspended', 'idle', 'running', … */
  readonly state: string;
  /** A session manager gives it some as soon as it knows it. */
  readonly ports: number;
}

/** An object as pw-dump prints it; `info` is null where it has been removed. */
interface PipeWireObject {
  readonly id: number;
  readonly type?: string;
  readonly info: {
    readonly state?: string;
    readonly 'n-input-ports'?: number;
    readonly 'n-output-ports'?: number;
    readonly props?: Readonly<Record<string, unknown>>;
  } | null;
}

/** Rejects with ERR_VSND_SOUND_SERVER. */
export async function listNodes(): Promise<PipeWireNode[]> {
  return parseNodes(await runProgram('pw-dump', []));
}

/** Calls `onChange` with all nodes whenever one of them changes, and `onEnd` when the server has gone; returns what ends both. */
export function followNodes(
  onChange: (nodes: readonly PipeWireNode[]) => void,
  onEnd: (reason: string) => void,
): () => void {
  const graph = new NodeGraph();
  const lists = new ListSplitter();
  const onText = (text: string): void => {
    const found = lists.split(text);
    if (found.length === 0) return;
    for (const list of found) graph.change(list);
    onChange(graph.nodes);
  };
  return followProgram('pw-dump', ['--monitor'], 'PipeWire has closed the connection', onText, onEnd);
}

/** Exported for tests. There is more than one list where something changed meanwhile. */
export function parseNodes(text: string): PipeWireNode[] {
  const graph = new NodeGraph();
  for (const list of new ListSplitter().split(text)) graph.change(list);
  return graph.nodes;
}

/** The nodes there are, after each list of changes. */
export class NodeGraph {
  readonly #nodes = new Map<number, PipeWireNode>();

  get nodes(): PipeWireNode[] {
    return [...this.#nodes.values()];
  }

  /** Takes a list of objects, as JSON. */
  change(list: string): void {
    for (const { id, type, info } of JSON.parse(list) as PipeWireObject[]) {
      if (info === null || info === undefined) this.#nodes.delete(id);
      else if (type === 'PipeWire:Interface:Node') this.#nodes.set(id, nodeOf(this.#nodes.get(id), info));
    }
  }
}

/** What an object says, over what it said before. */
function nodeOf(before: PipeWireNode | undefined, info: NonNullable<PipeWireObject['info']>): PipeWireNode {
  const { state, props, 'n-input-ports': inputs, 'n-output-ports': outputs } = info;
  const text = (key: string) => (typeof props?.[key] === 'string' ? props[key] : undefined);
  return {
    name: text('node.name') ?? before?.name ?? '',
    fifo: text('pipe.filename') ?? before?.fifo,
    state: state ?? before?.state ?? '',
    ports: inputs === undefined || outputs === undefined ? (before?.ports ?? 0) : inputs + outputs,
  };
}

/** pw-dump prints one list after the other; only its brackets are at the beginning of a line. */
export class ListSplitter {
  #rest = '';

  /** The lists that this text completes. */
  split(text: string): string[] {
    const parts = (this.#rest + text).split(/^\]$/m);
    this.#rest = parts.pop() ?? '';
    return parts.map((part) => `${part}]`);
  }
}
