import type { BackendStatus, GuestCard, GuestStream } from '../../control/protocol.ts';
import { oneLine, withoutControls } from '../messages.ts';
import { streamText } from '../owner.ts';
import { fitParts, plainPart, type TerminalStyle } from '../status-line.ts';
import { progressParts } from './card-lines.ts';

/** A line for the backend, one for each guest's card, and one for each of its streams. */
export function guestLines({ pid, cards }: BackendStatus, style: TerminalStyle, width = Infinity): string[] {
  const title = `backend, process ${pid}${cards.length > 0 ? '' : ': no guest has a card'}`;
  return [title, ...cards.flatMap((card) => cardLines(card, style, width))];
}

function cardLines(card: GuestCard, style: TerminalStyle, width: number): string[] {
  const { domid, devid, name, connected, streams } = card;
  const parts = [
    `guest ${domid}, card ${devid}`,
    ...(name ? [oneLine(name)] : []),
    ...(connected ? [] : ['not connected']),
  ];
  return [
    withoutControls(parts.join(', ')).slice(0, width - 1),
    ...streams.map((stream) => streamLine(stream, style, width)),
  ];
}

function streamLine(stream: GuestStream, style: TerminalStyle, width: number): string {
  const { open, target } = stream;
  const parts = open ? progressParts(stream, open, style) : [plainPart('not open')];
  const name = `  ${withoutControls(streamText(stream)).padEnd(12)}`;
  return name + fitParts([...parts, plainPart(withoutControls(target))], width - 1 - name.length).text;
}
