import { onTestFinished, vi } from 'vitest';
import { type Bridge, type BridgeOptions, type Card, createBridge } from '../../../src/index.ts';
import { type HeadlessServer, hurryProcess } from './sound-server.ts';

/** What programs of a server find it by. */
const VARIABLES = ['XDG_RUNTIME_DIR', 'HOME', 'VSND_CONTROL_DIR', 'PULSE_SERVER', 'DBUS_SESSION_BUS_ADDRESS'];

/** A sink in a bridge in this process, which is given the server's environment. */
export async function bridgeHere(
  server: HeadlessServer,
  card: Card,
  options: BridgeOptions,
): Promise<Bridge> {
  for (const name of VARIABLES) vi.stubEnv(name, server.env[name]);
  const bridge = await createBridge(card, { name: 'card', source: false, ...options });
  // The bridge and the card are here: what is shown must not depend on how busy the machine is.
  await hurryProcess(process.pid, 10);
  onTestFinished(async () => {
    await bridge.close();
    vi.unstubAllEnvs();
  });
  return bridge;
}
