/**
 * The marks that our decisions left on connections. They outlive the rules and the process, and the kernel acts on them
 * before anybody is asked: a flow that an older configuration condemned would stay blocked without an entry in any log.
 * So they are cleared at the start, at the stop, and when what decides has changed.
 */
import { constants } from 'node:os';
import { connectionCalls, errnoName, NativeError } from './index.js';

/** A stop must not take for ever; a million connections take some seconds. */
const patienceMillis = 15_000;

/**
 * Clears the bits of `mask`, and no other, on every tracked connection of this network namespace, with a thread of Node's
 * pool. Resolves to how many connections had any of them.
 * @param mask unsigned, 32 bits
 * @throws NativeError: native-missing, connections-failed
 */
export async function clearMarks(mask: number): Promise<number> {
  const calls = connectionCalls();
  // Node waits for its threads before it ends: who is in a hurry leaves the rest.
  const onExit = (): void => {
    calls.stopClearing();
  };
  process.once('exit', onExit);
  const result = await calls.clearMarks(mask, patienceMillis).finally(() => process.off('exit', onExit));
  if (result >= 0) return result;
  throw new NativeError('connections-failed', refusal(-result));
}

function refusal(error: number): string {
  const { errno } = constants;
  const what = `the kernel's table of connections could not be gone through (${errnoName(error)})`;
  if (error === errno.EPERM || error === errno.EACCES)
    return `${what}: run as root, or with CAP_NET_ADMIN in this network namespace`;
  if (error === errno.ETIMEDOUT) return `${what}: the rest of it took too long`;
  if (error === errno.EINVAL || error === errno.EOPNOTSUPP || error === errno.EPROTONOSUPPORT)
    return `${what}: load what it takes with \`modprobe nf_conntrack_netlink\``;
  return what;
}
