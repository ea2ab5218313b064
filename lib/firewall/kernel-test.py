"""Traffic for the kernel tests: queue (a consumer that marks by a plan), serve (echo), tcp, udp (clients).

queue NUMBER MASK PLAN   PLAN is words: go (NF_ACCEPT), or pass accept drop reject (NF_REPEAT with that mark); the last
                         word holds for all later packets
serve                    echoes TCP and UDP on port 5001, both families
tcp ADDRESS [SOURCEPORT] prints ok, reset, timeout or refused
udp ADDRESS              prints ok, timeout or refused
datagrams ADDRESS DEVICE COUNT sends UDP to port 5001, broadcast or multicast
segments ADDRESS SEGMENT sends TCP segments outside of any connection, each FLAGS:OPTIONWORDS:PAYLOADBYTES[:PORT],
  in a burst; each from a port of its own unless that is given
"""
import ctypes, os, socket, struct, sys, threading, time

VALUES = {'pass': 1, 'accept': 2, 'reject': 4, 'drop': 5}
NF_ACCEPT, NF_REPEAT = 1, 4


def queue(number, mask, plan):
    lib = ctypes.CDLL('libnetfilter_queue.so.1')
    pointer = ctypes.c_void_p
    for name, result, arguments in (
        ('nfq_open', pointer, []),
        ('nfq_create_queue', pointer, [pointer, ctypes.c_uint16, pointer, pointer]),
        ('nfq_set_mode', ctypes.c_int, [pointer, ctypes.c_uint8, ctypes.c_uint32]),
        ('nfq_get_msg_packet_hdr', pointer, [pointer]),
        ('nfq_get_nfmark', ctypes.c_uint32, [pointer]),
        ('nfq_set_verdict2', ctypes.c_int, [pointer] + [ctypes.c_uint32] * 4 + [pointer]),
        ('nfq_fd', ctypes.c_int, [pointer]),
        ('nfq_handle_packet', ctypes.c_int, [pointer, ctypes.c_char_p, ctypes.c_int]),
    ):
        getattr(lib, name).restype, getattr(lib, name).argtypes = result, arguments
    shift = (mask & -mask).bit_length() - 1
    seen = [0]

    def packet(handle, _message, data, _more):
        identity = struct.unpack('!I', ctypes.string_at(lib.nfq_get_msg_packet_hdr(data), 4))[0]
        value = plan[min(seen[0], len(plan) - 1)]
        seen[0] += 1
        print(value, flush=True)
        if value == 'go':
            return lib.nfq_set_verdict2(handle, identity, NF_ACCEPT, lib.nfq_get_nfmark(data), 0, None)
        mark = (lib.nfq_get_nfmark(data) & ~mask & 0xFFFFFFFF) | VALUES[value] << shift
        return lib.nfq_set_verdict2(handle, identity, NF_REPEAT, mark, 0, None)

    kind = ctypes.CFUNCTYPE(ctypes.c_int, pointer, pointer, pointer, pointer)
    callback = kind(packet)
    handle = lib.nfq_open()
    made = lib.nfq_create_queue(handle, number, ctypes.cast(callback, pointer), None)
    if not made or lib.nfq_set_mode(made, 2, 256) < 0:
        sys.exit('cannot bind the queue')
    print('ready', flush=True)
    while True:
        try:
            block = os.read(lib.nfq_fd(handle), 65536)
        except OSError:
            continue
        lib.nfq_handle_packet(handle, block, len(block))


def serve():
    tcp = socket.create_server(('::', 5001), family=socket.AF_INET6, dualstack_ipv6=True, backlog=64)
    udp = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
    udp.bind(('::', 5001))

    def echo(connection):
        try:
            while data := connection.recv(4096):
                connection.sendall(data)
        except OSError:
            pass
        connection.close()

    def datagrams():
        while True:
            data, sender = udp.recvfrom(4096)
            udp.sendto(data, sender)

    threading.Thread(target=datagrams, daemon=True).start()
    print('ready', flush=True)
    while True:
        threading.Thread(target=echo, args=(tcp.accept()[0],), daemon=True).start()


def client(kind, address, source_port=0):
    family = socket.AF_INET6 if ':' in address else socket.AF_INET
    connection = socket.socket(family, socket.SOCK_STREAM if kind == 'tcp' else socket.SOCK_DGRAM)
    connection.settimeout(3)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    # Closed by a reset: the five-tuple can be used again at once.
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0))
    connection.bind(('', source_port))
    try:
        connection.connect((address, 5001))
        for _ in range(4):
            connection.send(b'hello')
            if connection.recv(100) != b'hello':
                return 'wrong'
        return 'ok'
    except ConnectionResetError:
        return 'reset'
    except ConnectionRefusedError:
        return 'refused'
    except TimeoutError:
        return 'timeout'


def segments(address, plans):
    family = socket.AF_INET6 if ':' in address else socket.AF_INET
    raw = socket.socket(family, socket.SOCK_RAW, socket.IPPROTO_TCP)
    raw.connect((address, 0))
    addresses = socket.inet_pton(family, raw.getsockname()[0]) + socket.inet_pton(family, address)
    made = []
    for i, (flags, options, payload, *port) in enumerate([int(word, 0) for word in plan.split(':')] for plan in plans):
        head = struct.pack('!HHIIBBHHH', port[0] if port else 40_100 + i, 5001, 1000, 2000, (5 + options) << 4, flags, 1024, 0, 0)
        segment = head + b'\x01' * (4 * options) + b'x' * payload
        even = addresses + struct.pack('!HH', socket.IPPROTO_TCP, len(segment)) + segment + b'\0' * (len(segment) % 2)
        total = sum(struct.unpack(f'!{len(even) // 2}H', even))
        while total >> 16:
            total = (total & 0xFFFF) + (total >> 16)
        made.append(segment[:16] + struct.pack('!H', total ^ 0xFFFF) + segment[18:])
    for segment in made:
        raw.send(segment)


def datagrams(address, device, count):
    family = socket.AF_INET6 if ':' in address else socket.AF_INET
    sender = socket.socket(family, socket.SOCK_DGRAM)
    sender.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, device.encode())
    sender.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
    sender.bind(('', 40_200))
    for number in range(count):
        sender.sendto(b'hello %d' % number, (address, 5001))
        time.sleep(0.2)


command, *words = sys.argv[1:]
if command == 'queue':
    queue(int(words[0]), int(words[1], 0), words[2:])
elif command == 'serve':
    serve()
elif command == 'datagrams':
    datagrams(words[0], words[1], int(words[2]))
elif command == 'segments':
    segments(words[0], words[1:])
else:
    print(client(command, words[0], *map(int, words[1:])))
