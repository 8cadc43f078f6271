import { afterEach } from 'vitest';
import { openCard } from '../../src/open-card.ts';
import { Hub } from '../../src/server/hub.ts';
import { planServer, type SoundServerOptions } from '../../src/server/plan.ts';
import { Sink } from '../../src/server/sink.ts';
import { Source } from '../../src/server/source.ts';
import type { TargetEvents, TargetPlan } from '../../src/server/target.ts';
import { startTestGuest, type TestGuest, type TestGuestOptions } from '../../src/testing.ts';

const closing: (() => Promise<void>)[] = [];

afterEach(async () => {
  for (const close of closing.splice(0)) await close();
});

/** A server without a socket, on a card whose time is in the test's hand. */
export interface ManualServer {
  readonly guest: TestGuest;
  readonly hub: Hub;
  readonly sink: Sink;
  readonly source: Source | undefined;
  /** What it has told, a word each. */
  readonly events: string[];
  /** Closes it, and all below it; the card is left clean. */
  readonly close: () => Promise<void>;
}

/** Closed after the test. */
export async function startServer(
  options: SoundServerOptions = {},
  guestOptions: TestGuestOptions = {},
): Promise<ManualServer> {
  const server = await openServer(options, guestOptions);
  closing.push(server.close);
  return server;
}

/** The test closes it. */
export async function openServer(
  options: SoundServerOptions = {},
  guestOptions: TestGuestOptions = {},
): Promise<ManualServer> {
  const guest = await startTestGuest(guestOptions);
  const card = await openCard({ hypervisor: guest.hypervisor });
  const plan = planServer(card.info, options);
  const events: string[] = [];
  const eventsOf = ({ direction, index }: TargetPlan): TargetEvents => ({
    card,
    handleStart: () => events.push('start'),
    handleStop: () => events.push('stop'),
    handleXrun: () => events.push('xrun'),
    handleBackendLost: () => events.push('backendLost'),
    handleBackendBack: () => events.push('backendBack'),
    handleWarning: (code) => events.push(code),
    handleChange: () => hub.publish(direction, 'change', index),
  });
  const sinks = plan.sinks.map((one) => new Sink(one, guest.clock, eventsOf(one)));
  const sources = plan.sources.map((one) => new Source(one, guest.clock, eventsOf(one)));
  const identity = { version: '1', user: 'nobody', host: 'nowhere', cookie: 1 };
  const hub = new Hub(identity, sinks, sources, plan.roles, {
    handleConnect: ({ name }) => events.push(`${name} has come`),
    handleDisconnect: ({ name }) => events.push(`${name} has gone`),
    handleStreams: () => {},
  });
  const close = async () => {
    for (const client of hub.clients.values()) client.close();
    const closed = Promise.all([...sinks, ...sources].map((target) => target.close()));
    await guest.clock.advanceTime(1e9);
    await closed;
    await card.close();
    await guest.close();
  };
  const [sink] = sinks;
  if (sink === undefined) throw new Error('the card cannot play');
  return { guest, hub, sink, source: sources[0], events, close };
}
