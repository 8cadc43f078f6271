// Loaded before an example: its process's emulated card plays as fast as data comes, and into WAV files.
import { startEmulatedGuest } from '../../dist/emulation/guest.js';

const guest = startEmulatedGuest({ sink: `wav:${process.env.HEARD}`, fast: true });
globalThis[Symbol.for('vsnd.processGuest')] = { guest, users: 0 };
