"""What every part of the kit needs: where things are, and how it ends with a reason."""
import contextlib
import os
import pathlib
import random
import re
import socket
import sys

KIT = pathlib.Path(__file__).resolve().parent
CACHE = pathlib.Path(os.environ.get('LITELLM_CONFORMANCE_CACHE')
                     or pathlib.Path(os.environ.get('XDG_CACHE_HOME') or pathlib.Path.home() / '.cache') / 'litellm-conformance')

# Status of this command when something it needs is not to be had, as opposed to something that does not work.
UNAVAILABLE = 69


def end(reason, status=1):
    print('litellm: ' + reason, file=sys.stderr)
    raise SystemExit(status)


def refuse_compromised(release):
    """1.82.7 and 1.82.8 stole credentials by a .pth start-up file; 1.107.x is said to be compromised as well."""
    number = '(0|[1-9][0-9]*)'  # to the package index, 1.82.07 is 1.82.7
    if not re.fullmatch(r'%s\.%s\.%s' % (number, number, number), release):
        end('"%s" is no release: want one like 1.84.0' % release)
    if release in ('1.82.7', '1.82.8') or release.startswith('1.107.'):
        end('LiteLLM %s is compromised, or said to be, and is not installed by this kit' % release)


given = set()


def free_port():
    """A free one, not given before. It lies below those that Linux takes for outgoing connections: one of these could have it before
    whoever is to listen there has started."""
    first_outgoing = int(pathlib.Path('/proc/sys/net/ipv4/ip_local_port_range').read_text().split()[0])
    below = [port for port in range(max(1024, first_outgoing - 10000), first_outgoing) if port not in given]
    for port in random.sample(below, len(below)):
        with contextlib.suppress(OSError), socket.socket() as s:
            s.bind(('127.0.0.1', port))
            given.add(port)
            return port
    end('no port below %d is free' % first_outgoing)
