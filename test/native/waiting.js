import { openEverything } from './worker.js';

openEverything(process.argv[2]);
console.log('open');
