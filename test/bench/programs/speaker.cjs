// Plays the frames behind a WAV file's header of 44 bytes through npm `speaker`, found as any package is.
const { createReadStream } = require('node:fs');
const Speaker = require('speaker');

createReadStream(process.argv[2], { start: 44 }).pipe(new Speaker({ channels: 2, sampleRate: 44100 }));
