import { readFileSync } from 'node:fs';
import { instance } from '@viz-js/viz';
import { expect, test } from 'vitest';

/** In docs/, each as NAME.dot and, drawn, NAME.svg. */
const PICTURES = ['architecture', 'period'];

test.each(PICTURES)('docs/%s.svg is what its .dot draws (vitest -u draws it anew)', async (name) => {
  const path = (ending: string) => new URL(`../../docs/${name}.${ending}`, import.meta.url).pathname;
  const viz = await instance();
  const picture = viz.renderString(readFileSync(path('dot'), 'utf8'), { format: 'svg' });
  await expect(picture).toMatchFileSnapshot(path('svg'));
});
