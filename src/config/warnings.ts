/** Something in a card's configuration that cannot be meant so, and what is made of it. */
export interface ConfigWarning {
  /** The node. */
  readonly path: string;
  /** Names the node and its value. */
  readonly message: string;
}

/** So many are kept of one card: whoever writes its nodes may write any number of them. */
const MOST_WARNINGS = 20;

/** Characters of a value that a message quotes. */
const MOST_CHARACTERS = 80;

/** What there is to say about one card's configuration: a line for each node, and not more than a person reads. */
export class ConfigWarnings {
  readonly #kept: ConfigWarning[] = [];
  #dropped = 0;

  /** The node `path` says `value`; `remark`: what is wrong with it, and what holds instead. */
  add(path: string, value: string | undefined, remark: string): void {
    if (this.#kept.length < MOST_WARNINGS)
      this.#kept.push({ path, message: `${path} is ${quote(value)}: ${remark}` });
    else this.#dropped++;
  }

  get all(): readonly ConfigWarning[] {
    const [first] = this.#kept;
    if (first === undefined || this.#dropped === 0) return this.#kept;
    const message = `${this.#dropped} more of the card's nodes are not as they should be`;
    return [...this.#kept, { path: first.path, message }];
  }
}

/** What JSON leaves as it is, and a terminal or a log does not: C1 controls, direction marks, line separators. */
const COMMANDING = /[\p{Cc}\p{Bidi_Control}\u2028\u2029]/gu;

const escaped = (character: string): string => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`;

/** A node's value as a message says it: 'missing', or the first {@link MOST_CHARACTERS} of it, without a character that commands. */
export function quote(value: string | undefined): string {
  if (value === undefined) return 'missing';
  return JSON.stringify(value.slice(0, MOST_CHARACTERS)).replace(COMMANDING, escaped);
}
