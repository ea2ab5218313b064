/** What a message costs that names very many peers. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { kinds } from '../detectors/detector.js';
import { SwarmWatch } from '../lib/engine/swarm-watch.js';
import { UnknownEndpoint, type Endpoints, type Hosts } from '../lib/flow/swarm.js';
import { learnsOf, Town } from './encrypted-testing.js';

const namesInMessage = 200;
const firstNamed = 0xcb007100 | 0;

/** How many names of one message are told to a memory that hears the first `heard` of them. */
function toldOf(heard: number): number {
  let told = 0;
  const endpoints: Endpoints = {
    name: (_version, word0) => word0 < firstNamed || word0 >= firstNamed + namesInMessage || ++told <= heard,
    prove: () => undefined,
    grade: () => UnknownEndpoint,
    speakerOf: () => 1,
  };
  const hosts = { note: () => undefined } as unknown as Hosts;
  const town = new Town();
  learnsOf(town, '10.0.0.5', [['203.0.113.7', 51413]]);
  const words = Array.from({ length: namesInMessage }, (_, i) => [firstNamed + i, 0, 0, 0]).flat();
  const peers = {
    count: namesInMessage,
    version: Array<number>(namesInMessage).fill(4),
    words,
    port: Array<number>(namesInMessage).fill(51413),
  };
  const view = { peers, listenPort: 0 } as never;
  new SwarmWatch(endpoints, hosts).learn(town.engine.flows, 0, 1, view, kinds.indexOf('dht'), town.now);
  return told;
}

test('all names of a message are told while they are heard', () => {
  assert.equal(toldOf(namesInMessage), namesInMessage);
});

test('a speaker whose quota is used up is not listened to for a whole message', () => {
  assert.equal(toldOf(0), 8);
  assert.equal(toldOf(100), 108);
});
