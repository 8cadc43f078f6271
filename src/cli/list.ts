import type { VsndError } from '../errors.ts';
import type { CardInfo } from '../frontend/discovery.ts';
import { listCards } from '../open-card.ts';
import { defineCommand } from './command.ts';
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

function describeCard(card: CardInfo): string {
  const names = [card.shortName, card.longName].filter((name) => name !== undefined).map(oneLine);
  return [
    [`card ${card.devid}`, ...names].join(', '),
    `  state ${card.state}; backend in domain ${card.backendDomid}, state ${card.backendState}`,
    ...card.pcmDevices.flatMap(describeDevice),
  ].join('\n');
}

function describeDevice(device: CardInfo['pcmDevices'][number]): string[] {
  const title = `  PCM device ${device.index}${device.name === undefined ? '' : `, ${oneLine(device.name)}`}`;
  return [title, ...device.streams.flatMap(describeStream)];
}

function describeStream(stream: CardInfo['pcmDevices'][number]['streams'][number]): string[] {
  const { min, max } = stream.channels;
  return [
    `    stream ${stream.index}, ${stream.type}, ${stream.uniqueId === '' ? 'without id' : `id ${oneLine(stream.uniqueId)}`}`,
    `      rates     ${stream.rates.join(', ')} Hz`,
    `      formats   ${stream.formats.join(', ')}`,
    `      channels  ${min === max ? min : `${min} to ${max}`}`,
    `      buffer    ${stream.bufferBytes} bytes`,
  ];
}
