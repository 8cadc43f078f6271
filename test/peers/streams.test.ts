import { PROFILES } from './profiles.ts';
import { describeStreams } from './streams.contract.ts';

for (const profile of PROFILES) describeStreams(profile);
