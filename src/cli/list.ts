import type { VsndError } from '../errors.ts';
import type { CardInfo } from '../frontend/discovery.ts';
import { listCards } from '../open-card.ts';
import { defineCommand } from './command.ts';
import { wrap } from './help.ts';
import { oneLine } from './messages.ts';
import { complainOfConfig } from './with-card.ts';

/** `vsnd list`: prints the cards of this guest, or of an emulated one. */
export const list = defineCommand({
  name: 'list',
  summary: "list this guest's virtual sound cards",
  description: [
    `Lists this guest's virtual sound cards, their PCM devices and streams, and what each stream can be set
    to.`,
  ],
  options: {
    json: { help: 'print JSON: an array of cards' },
    emulate: { help: 'list the card of an emulated Xen machine' },
  },
  examples: {
    'vsnd list': 'all that can be told of this guest without opening a card',
    'vsnd list --emulate --json': 'the emulated card, for a program',
  },
  run: async ({ values: { json, emulate } }, { terminal }) => {
    let unreadable = 0;
    const onUnreadable = ({ message }: VsndError) => {
      unreadable++;
      terminal.complain(message);
    };
    const cards = emulate ? await listEmulatedCards() : await listCards({ onUnreadable });
    for (const card of cards) complainOfConfig(card, terminal);
    if (json) terminal.say(JSON.stringify(cards, null, 2));
    else if (cards.length > 0) terminal.say(cards.map(describeCard).join('\n\n'));
    else if (unreadable === 0) terminal.say('This guest has no virtual sound card.');
    return unreadable === 0;
  },
});

async function listEmulatedCards(): Promise<CardInfo[]> {
  const { startEmulatedGuest } = await import('../emulation/guest.ts');
  const guest = await startEmulatedGuest({ sink: 'null' });
  try {
    return await listCards({ hypervisor: guest.hypervisor });
  } finally {
    await guest.close();
  }
}

/** Columns of a terminal. */
const WIDTH = 80;

function describeCard(card: CardInfo): string {
  const names = [card.shortName, card.longName].filter((name) => name !== undefined).map(oneLine);
  const streams = card.pcmDevices.flatMap(({ index, streams }) =>
    streams.map((stream) => ({ ...stream, place: `${index}/${stream.index}` })),
  );
  return [
    [`card ${card.devid}`, ...names].join(', '),
    `  state ${card.state}; backend in domain ${card.backendDomid}, state ${card.backendState}`,
    ...card.pcmDevices.flatMap(({ index, name }) => [
      `  PCM device ${index}${name === undefined ? '' : `, ${oneLine(name)}`}`,
      ...streams.filter(({ place }) => place.startsWith(`${index}/`)).map(describeStream),
    ]),
    ...shared('rates', streams, ({ rates }) => `${rates.join(', ')} Hz`),
    ...shared('formats', streams, ({ formats }) => formats.join(', ')),
  ].join('\n');
}

type Stream = CardInfo['pcmDevices'][number]['streams'][number] & {
  /** Its PCM device and its own number: 0/1. */
  readonly place: string;
};

/** A row, whose end another one takes where the id is long. */
function describeStream({ place, type, uniqueId, channels, rates, bufferBytes }: Stream): string {
  const row = [
    `    ${place}  ${type.padEnd('playback'.length)}`,
    `${span(channels.min, channels.max)} channels`,
    `${span(Math.min(...rates), Math.max(...rates))} Hz`,
    `buffer ${bufferBytes % 1024 === 0 ? `${bufferBytes / 1024} KiB` : `${bufferBytes} bytes`}`,
  ].join('  ');
  const id = uniqueId === '' ? 'without id' : `id ${oneLine(uniqueId)}`;
  return row.length + 2 + id.length <= WIDTH ? `${row}  ${id}` : `${row}\n         ${id}`;
}

function span(min: number, max: number): string {
  return min === max ? `${min}` : `${min}-${max}`;
}

/** What `textOf` says of all streams, once; where they differ, once for those that are alike. */
function shared(title: string, streams: readonly Stream[], textOf: (stream: Stream) => string): string[] {
  const texts = [...new Set(streams.map(textOf))];
  return texts.map((text) => {
    const places = streams.filter((stream) => textOf(stream) === text).map(({ place }) => place);
    const whose = texts.length === 1 ? '' : ` of ${places.join(', ')}`;
    return `  ${title}${whose}:\n    ${wrap(text, WIDTH - 4).join('\n    ')}`;
  });
}
