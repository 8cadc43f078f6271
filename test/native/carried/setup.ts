import { vi } from 'vitest';
import type { EmulatedDomain } from '../../../src/xen/emulated/domain.ts';

vi.mock('../../../src/xen/emulated/domain.ts', async (original) => {
  const { deviceDomain } = await import('./device-domain.ts');
  const { EmulatedDomain: Domain } = await original<{ EmulatedDomain: typeof EmulatedDomain }>();
  return { EmulatedDomain: deviceDomain(Domain) };
});
