import type { Clock } from '../clock.ts';
import { ReleaseStack } from '../release-stack.ts';
import type { MetricsAddress } from './address.ts';
import { type BackendReadings, backendMetrics } from './backend-metrics.ts';
import { formatMetrics, type MetricFamily } from './exposition.ts';
import { loopMetrics, watchLoop } from './loop-gap.ts';
import { processMetrics } from './process-metrics.ts';
import { type MetricsServer, serveMetrics } from './server.ts';

/** What a backend that has not begun yet says of itself. */
const NOTHING: BackendReadings = { status: [], guests: [], xenstore: { roundTrips: 0, reconnections: 0 } };

export interface OfferedMetrics extends MetricsServer {
  /** Adds what is known of this backend from now on. */
  show(backend: BackendReadings): void;
}

/** Offers what is known of this process, which is vsnd of `version`, and of its backend. Rejects as {@link serveMetrics}. */
export async function offerMetrics(
  address: MetricsAddress,
  clock: Clock,
  version: string,
): Promise<OfferedMetrics> {
  let backend = NOTHING;
  const releases = new ReleaseStack();
  const loop = watchLoop(clock);
  releases.push(() => loop.release());
  const families = (): MetricFamily[] => [
    ...backendMetrics(backend),
    ...loopMetrics(loop.gap),
    ...processMetrics(version),
  ];
  try {
    const server = await serveMetrics((format) => formatMetrics(families(), format), address, clock);
    releases.push(() => server.close());
    const show = (other: BackendReadings) => {
      backend = other;
    };
    return { address: server.address, show, close: () => releases.releaseAll() };
  } catch (error) {
    await releases.releaseAll();
    throw error;
  }
}
