import Speaker from './speaker.ts';

/** `vsnd/speaker`, whose require() gives the class itself. A file of its own: TypeScript reads such a name from 5.6 on only. */
export { Speaker as default, Speaker as 'module.exports' };
