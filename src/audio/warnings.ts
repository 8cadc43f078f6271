export const ENDS_EARLY = 'ends early';
export const GOES_ON = 'goes on behind the end that its header gives: all of it is played';
export const HAS_HOLES = 'is damaged: what is missing is silent';

/** What is wrong with a recording that can be played all the same: each thing once. More may turn up while it is read. */
export class Warnings {
  readonly texts: string[] = [];

  add(text: string): void {
    if (!this.texts.includes(text)) this.texts.push(text);
  }
}
