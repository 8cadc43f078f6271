// Fails unless a recording is this noise: expect-recording.js '{"path":"/tmp/one.wav","seed":1,"frames":48000}'.
import { expectRecording } from '../dom0/recording.js';

const { path, ...expected } = JSON.parse(process.argv[2]);
await expectRecording(path, expected);
