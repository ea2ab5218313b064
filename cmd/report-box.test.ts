import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fakeReport } from '../lib/report/testing.js';
import {
  controlReports,
  controlWords,
  doubtsMax,
  reportsMax,
  type DecisionMessage,
} from './filter-settings.js';
import { ReportBox } from './report-box.js';

test('doubts leave room for decisions, and both end at their limit until the control plane has heard them', () => {
  const control = new Int32Array(new SharedArrayBuffer(controlWords * 4));
  const box = new ReportBox(control);
  let made = 0;
  const make = (action: DecisionMessage['action']) => (): DecisionMessage => ({
    ...{ action, timeMicros: ++made, inInterface: 0, outInterface: 0 },
    flow: fakeReport(),
  });
  const flood = (action: DecisionMessage['action'], most: number): number =>
    Array.from({ length: 2 * reportsMax }, () => box.take(make(action), most)).filter(Boolean).length;
  assert.equal(box.empty(), null);
  assert.equal(flood('pass', doubtsMax), doubtsMax);
  assert.equal(flood('drop', reportsMax), reportsMax - doubtsMax);
  assert.equal(made, reportsMax, 'what finds no room is not made');
  assert.equal(box.empty()!.length, reportsMax);
  assert.equal(box.empty(), null);
  assert.equal(box.take(make('drop'), reportsMax), false, 'they are still on their way');
  Atomics.sub(control, controlReports, reportsMax);
  assert.equal(box.take(make('pass'), doubtsMax), true);
});
