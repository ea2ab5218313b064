import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, readFileSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { InstanceLock, lockPath, takeTurn } from './instance-lock.js';

function withFolder(run: (path: string) => void): void {
  const folder = mkdtempSync(join(tmpdir(), 'swarmgate-lock-'));
  try {
    run(join(folder, 'a.pid'));
  } finally {
    rmSync(folder, { recursive: true });
  }
}

const busy = (error: unknown): boolean =>
  (error as { code: string }).code === 'instance-busy' &&
  (error as Error).message.includes(`process ${process.pid}`);

test('a held name is refused with the process that holds it; released it is free', () => {
  withFolder((path) => {
    const lock = InstanceLock.take('a', path);
    assert.throws(() => InstanceLock.take('a', path), busy);
    lock.release();
    assert.equal(existsSync(path), false);
    InstanceLock.take('a', path).release();
    lock.release();
  });
});

test('what a dead process left is taken over, also if its number was given to another one', () => {
  withFolder((path) => {
    for (const left of ['1 1\n', `${process.pid} 1\n`, '4194999 77\n', 'nonsense', '']) {
      writeFileSync(path, left);
      const lock = InstanceLock.take('a', path);
      assert.match(readFileSync(path, 'utf8'), new RegExp(`^${process.pid} \\d+\\n$`));
      lock.release();
    }
  });
});

test('a lock that somebody else took over is not removed', () => {
  withFolder((path) => {
    const lock = InstanceLock.take('a', path);
    writeFileSync(path, '1 1\n');
    lock.release();
    assert.ok(existsSync(path));
  });
});

test('a folder that cannot be made is told, and the path names the network namespace', () => {
  assert.throws(
    () => InstanceLock.take('a', '/proc/nowhere/at/all/a.pid'),
    (error) => (error as { code: string }).code === 'instance-lock',
  );
  assert.match(lockPath('a'), /^\/run\/swarmgate\/a\.\d+\.pid$/);
});

test('a start waits for its turn, ends when a stop is wanted, and takes over what was forgotten', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'swarmgate-turn-'));
  const path = join(folder, 'start.pid');
  try {
    const first = await takeTurn(undefined, path);
    let asked = 0;
    await assert.rejects(
      takeTurn(() => ++asked > 2, path),
      (error) => (error as { code: string }).code === 'stop-wanted',
    );
    setTimeout(() => {
      first.release();
    }, 100);
    const second = await takeTurn(undefined, path);
    const longAgo = Date.now() / 1000 - 3600;
    utimesSync(path, longAgo, longAgo);
    const third = await takeTurn(undefined, path);
    third.release();
    second.release();
    assert.equal(existsSync(path), false);
  } finally {
    rmSync(folder, { recursive: true });
  }
});
