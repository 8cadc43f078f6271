// Loaded before an example: the sound of its process's emulated card is kept in WAV files.
import { startEmulatedGuest } from '../../dist/emulation/guest.js';

const { HEARD, FAST } = process.env;
const guest = startEmulatedGuest({ sink: `wav:${HEARD}`, fast: FAST === '1' });
globalThis[Symbol.for('vsnd.processGuest')] = { guest, users: 0 };
