// As a CommonJS module has it: require() gives the class itself, as that of npm `speaker`.
import Speaker = require('vsnd/speaker');

const speaker: Speaker = new Speaker({ channels: 1 });
speaker.end(Buffer.alloc(2));
