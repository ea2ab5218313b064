/** Interfaces that a default route goes by, from the kernel's own tables of routes. Lines of another form are passed over. */

/** RTF_REJECT of linux/route.h: such a route leads nowhere. */
const rejects = 0x200;

/** @param routes text of /proc/net/route @param routes6 text of /proc/net/ipv6_route */
export function uplinksIn(routes: string, routes6: string): string[] {
  const fields = (text: string): string[][] => text.split('\n').map((line) => line.trim().split(/\s+/));
  const four = fields(routes)
    .filter(([, destination, , , , , , mask]) => destination === '00000000' && mask === '00000000')
    .filter(([, , , flags]) => (Number.parseInt(flags!, 16) & rejects) === 0)
    .map(([name]) => name!);
  const six = fields(routes6)
    .filter(([destination, length]) => length === '00' && /^0{32}$/.test(destination!))
    .filter((words) => words.length >= 10 && (Number.parseInt(words[8]!, 16) & rejects) === 0)
    .map((words) => words[9]!);
  return [...new Set([...four, ...six])].filter((name) => name !== 'lo').sort();
}
