import { readdirSync, readFileSync } from 'node:fs';

/** What comes with the package to be read. From src/cli/ and from dist/cli/ alike. */
const DOCS = new URL('../../docs/', import.meta.url);

/** The names of all pages, as `vsnd help` takes them: guest-setup.md. */
export function pageNames(): string[] {
  return readdirSync(DOCS).filter((name) => name.endsWith('.md'));
}

/** The page that `topic` means: guest-setup, guest-setup.md or docs/guest-setup.md; undefined where there is none. */
export function findPage(topic: string): string | undefined {
  const name = `${topic.replace(/^docs\//, '').replace(/\.md$/, '')}.md`;
  return pageNames().includes(name) ? readFileSync(new URL(name, DOCS), 'utf8').trimEnd() : undefined;
}
