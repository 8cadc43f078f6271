import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Conversation } from './conversation.ts';

/** A connected pair, with what was written on the way forgotten. */
function connected(): Conversation {
  const pair = new Conversation();
  pair.settle();
  expect(pair.isConnected).toBe(true);
  forget(pair);
  return pair;
}

function forget(pair: Conversation): void {
  pair.written.front.length = pair.written.back.length = 0;
  pair.announced = [];
}

describe('a first connection', () => {
  it('goes 1, 3, 4 and 2, 4, announced once', () => {
    const pair = new Conversation();
    pair.settle();
    expect(pair.isConnected).toBe(true);
    expect(pair.written).toEqual({ front: ['1', '3', '4'], back: ['2', '4'] });
    expect(pair.announced).toEqual(['announceConnected']);
    expect(pair.nodes).toEqual({ front: '4', back: '4' });
  });

  it('waits for a backend that is not ready, and one that has never run', () => {
    const pair = new Conversation();
    for (let step = 0; step < 20; step++) pair.front.step();
    expect(pair.front).toMatchObject({ state: 'initialising', isIdle: true });
    expect(pair.published).toBeUndefined();
    pair.settle();
    expect(pair.isConnected).toBe(true);
  });

  it('is lost at once where there is no backend, and says Initialising for one that may come', () => {
    const pair = new Conversation({ front: '6', back: undefined });
    pair.settle();
    expect(pair.front.state).toBe('lost');
    expect(pair.announced).toEqual(['announceLost']);
    expect(pair.nodes.front).toBe('1');
  });

  it('is lost where the backend cannot use what was published; the next one can be made', () => {
    const pair = new Conversation();
    pair.canMap = false;
    pair.settle();
    expect(pair.front.state).toBe('lost');
    expect(pair.written).toEqual({ front: ['1', '3', '1'], back: ['2', '5', '6', '2'] });
    expect(pair.granted).toBeUndefined();
    pair.canMap = true;
    pair.startFrontend();
    pair.settle();
    expect(pair.isConnected).toBe(true);
  });

  it('is lost where the backend stays silent', () => {
    const pair = new Conversation();
    for (let step = 0; step < 20; step++) pair.front.step();
    pair.front.tell('silence');
    for (let step = 0; step < 20; step++) pair.front.step();
    expect(pair.front.state).toBe('lost');
    expect(pair.announced).toEqual(['announceLost']);
    expect(pair.nodes.front).toBe('1');
  });

  it('that is given up while the backend binds it stays to be bound, until the backend has let go', () => {
    const pair = new Conversation();
    while (pair.front.state !== 'initialised') {
      pair.front.step();
      pair.back.step();
    }
    while (!pair.front.isIdle) pair.front.step();
    while (pair.back.state !== 'connecting') pair.back.step();
    pair.front.tell('silence');
    while (!pair.front.isIdle) pair.front.step();
    expect(pair.granted).toBe(pair.published);
    pair.settle();
    expect(pair.front.state).toBe('lost');
    expect(pair.written.back).toEqual(['2', '4', '5', '6', '2']);
  });
});

describe("a frontend's crash", () => {
  it('leaves its 4 behind: 1, wait for 2, publish, 3', () => {
    const pair = connected();
    const old = pair.published;
    pair.startFrontend();
    pair.settle();
    expect(pair.written).toEqual({ front: ['1', '3', '4'], back: ['5', '6', '2', '4'] });
    expect(pair.isConnected).toBe(true);
    expect(pair.published).not.toBe(old);
  });

  it('at any moment of the handshake is recovered from', () => {
    for (let moment = 0; moment < 30; moment++) {
      const pair = new Conversation();
      for (let step = 0; step < moment; step++) {
        if (step % 2 === 0) pair.front.step();
        else pair.back.step();
      }
      pair.startFrontend();
      pair.settle();
      if (pair.front.state === 'lost') {
        pair.startFrontend();
        pair.settle();
      }
      expect(pair.isConnected, `crash after ${moment} steps`).toBe(true);
    }
  });

  it('is noticed where the toolstack removes its node', () => {
    const pair = connected();
    pair.granted = undefined;
    pair.nodes.front = undefined;
    pair.setNode('front', undefined);
    for (let step = 0; step < 20; step++) pair.back.step();
    expect(pair.written.back).toEqual(['5', '6', '2']);
    expect(pair.mapped).toBeUndefined();
    expect(pair.back.state).toBe('initWait');
  });
});

describe("a backend's restart", () => {
  it('while connected ends the connection, and never takes the old grants over', () => {
    const pair = connected();
    const old = pair.published;
    pair.startBackend();
    pair.settle();
    expect(pair.front.state).toBe('lost');
    expect(pair.announced).toEqual(['announceLost']);
    expect(pair.nodes).toEqual({ front: '1', back: '2' });
    expect(pair.mapped).toBeUndefined();
    pair.startFrontend();
    pair.settle();
    expect(pair.isConnected).toBe(true);
    expect(pair.published).not.toBe(old);
  });

  it('after its silence was noticed finds 1, not a false 4', () => {
    const pair = connected();
    pair.front.tell('silence');
    for (let step = 0; step < 20; step++) pair.front.step();
    expect(pair.nodes).toEqual({ front: '1', back: '4' });
    pair.startFrontend();
    pair.startBackend();
    pair.settle();
    expect(pair.isConnected).toBe(true);
    expect(pair.written.back).toEqual(['2', '4']);
  });

  it('between 3 and 4 costs nothing: it finds the 3', () => {
    const pair = new Conversation();
    while (pair.front.state !== 'initialised') {
      pair.front.step();
      pair.back.step();
    }
    pair.startBackend();
    pair.settle();
    expect(pair.isConnected).toBe(true);
  });

  /** One node value after the other, each looked at by the frontend. */
  const show = (pair: Conversation, ...values: (string | undefined)[]) => {
    for (const value of values) {
      pair.setNode('back', value);
      while (!pair.front.isIdle) pair.front.step();
    }
  };

  it.each([
    ['it waits for us', '2'],
    ['it is gone', undefined],
  ])('that has read our 4 finds what it binds, until %s', (_, end) => {
    const pair = connected();
    show(pair, '5', '6', '1', '4', '5', '6', 'odd', '3');
    expect([pair.front.state, pair.granted]).toEqual(['holding', pair.published]);
    show(pair, end);
    expect([pair.front.state, pair.granted]).toEqual(['lost', undefined]);
    expect(pair.written.front).toEqual(['1']);
  });

  it('that never comes to an end is waited for only so long', () => {
    const pair = connected();
    show(pair, '5', '6');
    pair.front.tell('heldEnough');
    pair.front.step();
    pair.front.step();
    expect([pair.front.state, pair.granted]).toEqual(['lost', undefined]);
    show(pair, '1', '2');
    expect(pair.written.front).toEqual(['1']);
  });

  it.each(['5', '6', '1', '2', '3', '7', '0', '99', undefined])(
    'shows as %j, and that ends a connection',
    (value) => {
      const pair = connected();
      pair.setNode('back', value);
      for (let step = 0; step < 20; step++) pair.front.step();
      expect(pair.front.state).toBe(value === '2' || value === undefined ? 'lost' : 'holding');
      expect(pair.announced).toEqual(['announceLost']);
      expect(pair.written.front).toEqual(['1']);
    },
  );

  it('is no news where a watch fires again for the 4 that was read already', () => {
    const pair = connected();
    pair.setNode('back', '4');
    pair.settle();
    expect(pair.isConnected).toBe(true);
    expect(pair.written).toEqual({ front: [], back: [] });
  });
});

describe('leaving', () => {
  it('is 5, then 6 when the backend has let go; the backend ends at 2', () => {
    const pair = connected();
    pair.front.tell('leave');
    while (pair.front.state !== 'closed') {
      const before = pair.granted;
      pair.front.step();
      pair.back.step();
      if (pair.mapped !== undefined) expect(pair.granted).toBe(before);
    }
    pair.settle();
    expect(pair.written).toEqual({ front: ['5', '6'], back: ['5', '6', '2'] });
    expect(pair.announced).toEqual(['announceClosed']);
    expect([pair.granted, pair.mapped]).toEqual([undefined, undefined]);
  });

  it('never ends a grant that the backend has mapped, however slow it is', () => {
    const pair = connected();
    pair.front.tell('leave');
    for (let step = 0; step < 50; step++) pair.front.step();
    expect(pair.front.state).toBe('closing');
    expect(pair.granted).toBe(pair.mapped);
    pair.front.tell('leave');
    pair.settle();
    expect(pair.front.state).toBe('closed');
    expect(pair.announced).toEqual(['announceClosed']);
  });

  it('does not wait for a backend that has gone, or says nothing', () => {
    const gone = connected();
    gone.nodes.back = undefined;
    gone.front.tell('leave');
    gone.settle();
    expect(gone.front.state).toBe('closed');

    const silent = connected();
    silent.front.tell('leave');
    silent.front.tell('silence');
    for (let step = 0; step < 20; step++) silent.front.step();
    expect(silent.front.state).toBe('closed');
    expect(silent.announced).toEqual(['announceClosed']);
  });

  it('after a loss waits for the same, and says Closed only then', () => {
    const pair = connected();
    pair.setNode('back', '6');
    while (!pair.front.isIdle) pair.front.step();
    pair.front.tell('leave');
    pair.front.tell('silence');
    while (!pair.front.isIdle) pair.front.step();
    expect([pair.front.state, pair.granted]).toEqual(['holdingToLeave', pair.published]);
    pair.settle();
    expect([pair.front.state, pair.granted]).toEqual(['closed', undefined]);
    expect(pair.written.front).toEqual(['1', '6']);
    expect(pair.announced).toEqual(['announceLost', 'announceClosed']);
  });

  it('before anything was published needs nobody', () => {
    const pair = new Conversation();
    pair.nodes.back = '4';
    pair.front.step();
    pair.front.tell('leave');
    for (let step = 0; step < 20; step++) pair.front.step();
    expect(pair.front.state).toBe('closed');
    expect(pair.written.front).toEqual(['1', '6']);
  });

  it('and coming again makes a connection of its own', () => {
    const pair = connected();
    for (let round = 0; round < 3; round++) {
      pair.front.tell('leave');
      pair.settle();
      pair.startFrontend();
      pair.settle();
      expect(pair.isConnected).toBe(true);
    }
    expect(pair.published).toBe(4);
  });
});

describe("the backend's removal", () => {
  it('while connected lets go before it says so, and is not undone', () => {
    const pair = connected();
    pair.back.tell('remove');
    pair.settle();
    expect(pair.written.back).toEqual(['5', '6']);
    expect(pair.mapped).toBeUndefined();
    expect(pair.front.state).toBe('holding'); // who knows whether a 6 is the end
    pair.front.tell('heldEnough');
    pair.settle();
    expect(pair.front.state).toBe('lost');
    pair.startFrontend();
    pair.back.tell('remove');
    pair.settle();
    expect(pair.front.state).toBe('initialising');
    expect(pair.back.state).toBe('removed');
    expect(pair.written.back).toEqual(['5', '6']);
  });
});

describe('both ends, in any interleaving', () => {
  /** State 3 is not answered yet: the backend has begun to map what was published, or nobody can see whether it has. */
  const isHalfWay = ({ nodes, back }: Conversation) =>
    back.state === 'connecting' || (nodes.front === '3' && nodes.back === '2');

  const PLAY: Readonly<Record<string, (pair: Conversation) => void>> = {
    front: (pair) => pair.front.step(),
    back: (pair) => pair.back.step(),
    'front crashes': (pair) => pair.startFrontend(),
    'back crashes': (pair) => pair.startBackend(),
    silence: (pair) => pair.front.state === 'connected' && pair.front.tell('silence'),
    leave: (pair) => pair.front.state === 'connected' && pair.front.tell('leave'),
    'spurious watch': (pair) => {
      pair.setNode('front', pair.nodes.front);
      pair.setNode('back', pair.nodes.back);
    },
  };
  const steps = fc.constantFrom('front', 'back');
  const script = fc.array(
    fc.oneof(
      { weight: 12, arbitrary: steps },
      { weight: 1, arbitrary: fc.constantFrom(...Object.keys(PLAY).slice(2)) },
    ),
    { maxLength: 120, size: 'max' },
  );

  it('come to rest, and are connected by the same grants: now, or after the next attempts', () => {
    fc.assert(
      fc.property(script, (actions) => {
        const pair = new Conversation();
        for (const action of actions) {
          if (action !== 'front crashes' || !isHalfWay(pair)) PLAY[action]?.(pair);
        }
        pair.settle();
        for (let attempt = 0; attempt < 2 && !pair.isConnected; attempt++) {
          expect(pair.front.state).not.toBe('connected');
          pair.startFrontend();
          pair.settle();
        }
        expect(pair.isConnected).toBe(true);
      }),
      {
        numRuns: 2000,
        examples: [
          [
            [
              ...Array.from({ length: 2 }, () => 'back'),
              ...Array.from({ length: 5 }, () => 'front'),
              ...['back', 'front', 'back', 'back', 'back', 'back', 'front', 'back crashes'],
              ...Array.from({ length: 5 }, () => 'back'),
              ...['front', 'front crashes', 'front'],
            ],
          ],
        ],
      },
    );
  });

  it('recover by silence from a crash half way, which leaves a backend with the old grants at 4', () => {
    fc.assert(
      fc.property(script, (actions) => {
        const pair = new Conversation();
        for (const action of actions) PLAY[action]?.(pair);
        pair.settle();
        for (let attempt = 0; attempt < 2 && !pair.isConnected; attempt++) {
          if (pair.front.state === 'connected') pair.front.tell('silence');
          pair.settle();
          pair.startFrontend();
          pair.settle();
        }
        expect(pair.isConnected).toBe(true);
      }),
      { numRuns: 1000 },
    );
  });
});
