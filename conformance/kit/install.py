"""Installs a LiteLLM release, and what it runs on, into the cache: exact versions, wheels looked at before anything of them runs."""
import contextlib
import fcntl
import hashlib
import importlib.util
import os
import pathlib
import shutil
import subprocess
import sys
import zipfile

from base import CACHE, KIT, UNAVAILABLE, end, refuse_compromised

# The Prisma engine of prisma-client-py 0.11.0, which all releases use. The client asks the engine for this.
ENGINE = 'ac9d7041ed77bcc8a8dbd2ab6616b39013829574'


def postgres_programs():
    """The directory of the newest PostgreSQL's programs, or None. Debian has them outside of PATH."""
    found = sorted(pathlib.Path('/usr/lib/postgresql').glob('*/bin/initdb'), key=lambda p: int(p.parent.parent.name))
    if found:
        return found[-1].parent
    return pathlib.Path(shutil.which('initdb')).parent if shutil.which('initdb') else None


def missing_packages():
    """The Debian packages that are to be installed."""
    have = {
        'postgresql': postgres_programs() and shutil.which('psql'),
        'redis-server': shutil.which('redis-server') and shutil.which('redis-cli'),
        'python3-venv': importlib.util.find_spec('ensurepip') and importlib.util.find_spec('venv'),
        'nodejs': shutil.which('node'),
        'npm': shutil.which('npm'),
    }
    return [package for package, there in have.items() if not there]


def name_what_is_missing():
    missing = ' '.join(missing_packages())
    if missing:
        end('these Debian packages are missing: %s\n  RUNLEVEL=1 apt-get install --no-install-recommends %s   (RUNLEVEL=1: without starting services)'
            % (missing, missing), UNAVAILABLE)
    if not (3, 11) <= sys.version_info[:2] <= (3, 13):
        end('this is Python %d.%d; LiteLLM\'s locked versions need 3.11 to 3.13' % sys.version_info[:2], UNAVAILABLE)


def fetch(argv, **kwargs):
    """Runs a package manager, whose failure means that the packages are not to be had."""
    if subprocess.run([str(a) for a in argv], stdout=sys.stderr, **kwargs).returncode:
        end('"%s …" failed: are the package registries reachable?' % ' '.join(str(a) for a in argv[:4]), UNAVAILABLE)


def pip(python, *args):
    return [python, '-m', 'pip', '--disable-pip-version-check', '--quiet', *args]


def download(python, lock, into):
    """The wheels of a lock."""
    fetch(pip(python, 'download', '--no-deps', '--only-binary', ':all:', '--dest', into, '--requirement', lock))
    return sorted(into.glob('*.whl'))


def sha256(wheel):
    return hashlib.sha256(wheel.read_bytes()).hexdigest()


def known_sums():
    """SHA-256 by the wheel's name. Another platform or Python takes other wheels of some packages, which are not known then."""
    return dict(reversed(line.split()) for line in (KIT / 'wheels.sha256').read_text().splitlines())


def look_at(wheel, sums):
    """Refuses a wheel that is not the known one, is LiteLLM's and not known, or has a file that Python runs whenever it starts."""
    want, got = sums.get(wheel.name), sha256(wheel)
    if want != got and (want or wheel.name.startswith('litellm')):
        end('refused: %s has the SHA-256 %s, wheels.sha256 says %s' % (wheel.name, got, want or 'nothing of it'))
    with zipfile.ZipFile(wheel) as z:
        for name in z.namelist():
            if name.endswith('.pth'):
                end('refused: %s has the start-up file %s' % (wheel.name, name))


def node_packages():
    """npm's packages with their integrity from package-lock.json, beside the programs that need them."""
    node = CACHE / 'node'
    lock = (KIT / 'package-lock.json').read_text()
    if not (node / 'complete').exists() or (node / 'complete').read_text() != lock:
        shutil.rmtree(node, ignore_errors=True)
        node.mkdir()
        for name in ('package.json', 'package-lock.json'):
            shutil.copy(KIT / name, node)
        fetch(['npm', 'ci', '--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error'], cwd=node)
        (node / 'complete').write_text(lock)
    for name in ('query-engine', 'schema-engine'):
        shutil.copy(KIT / name, node)
    return node


def stamp(release):
    """Changes when anything does that an installation is made from."""
    made_from = ['install.py', 'package-lock.json', 'query-engine', 'schema-engine', 'locks/%s.txt' % release]
    return hashlib.sha256(b'\0'.join((KIT / f).read_bytes() for f in made_from)).hexdigest() + ' %d.%d' % sys.version_info[:2]


class Installation:
    """A release in the cache."""

    def __init__(self, release):
        self.root = CACHE / release
        self.python = self.root / 'venv/bin/python'
        self.tables = self.root / 'tables.sql'  # of this release, once the migrations ran
        self.stamp = self.root / 'stamp'

    @property
    def packages(self):
        return next((self.root / 'venv/lib').glob('python3*')) / 'site-packages'

    def environment(self):
        """What LiteLLM and Prisma need, and nothing of the caller's own: neither its LITELLM_* nor its REDIS_*."""
        node = CACHE / 'node'
        return {
            'PATH': '%s:%s' % (self.python.parent, os.environ['PATH']), 'LANG': 'C.UTF-8',
            'PRISMA_QUERY_ENGINE_BINARY': str(node / 'query-engine'), 'PRISMA_SCHEMA_ENGINE_BINARY': str(node / 'schema-engine'),
            'PRISMA_BINARY_CACHE_DIR': str(self.root / 'prisma'), 'QUERY_ENGINE_VERSION': ENGINE,
        }


@contextlib.contextmanager
def only_one():
    """Two installations at once would get in each other's way."""
    CACHE.mkdir(parents=True, exist_ok=True)
    with open(CACHE / 'lock', 'w') as f:
        fcntl.flock(f, fcntl.LOCK_EX)
        yield


def install(release):
    """Installs the release unless it is, and returns it."""
    refuse_compromised(release)
    lock = KIT / 'locks' / (release + '.txt')
    if not lock.exists():
        known = sorted((p.stem for p in lock.parent.glob('*.txt')), key=lambda r: [int(n) for n in r.split('.')])
        end('no lock for %s, so its versions are not pinned; there is one for %s. "lock %s" makes it.' % (release, ', '.join(known), release))
    name_what_is_missing()
    i = Installation(release)
    with only_one():
        if not (i.stamp.exists() and i.stamp.read_text() == stamp(release)):
            print('litellm: installing %s, once, into %s' % (release, i.root), file=sys.stderr)
            shutil.rmtree(i.root, ignore_errors=True)
            i.root.mkdir()
            subprocess.run([sys.executable, '-m', 'venv', i.root / 'venv'], check=True)
            wheels, sums = download(i.python, lock, i.root / 'wheels'), known_sums()
            for wheel in wheels:
                look_at(wheel, sums)
            subprocess.run(pip(i.python, 'install', '--no-index', '--no-deps', *wheels), check=True)
            shutil.rmtree(i.root / 'wheels')
            generate_prisma_client(i, node_packages())
            i.stamp.write_text(stamp(release))
    return i


def generate_prisma_client(i, node):
    """Without a download: Prisma's command line is npm's, its engines are those of this kit."""
    environment = {**i.environment(), 'PRISMA_CLI_QUERY_ENGINE_TYPE': 'binary', 'PRISMA_HIDE_UPDATE_MESSAGE': 'true', 'CHECKPOINT_DISABLE': '1', 'HOME': str(i.root)}
    generated = subprocess.run(['node', node / 'node_modules/prisma/build/index.js', 'generate', '--schema', i.packages / 'litellm/proxy/schema.prisma'],
                               cwd=i.root, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    if generated.returncode:
        end('the Prisma client was not generated:\n' + generated.stdout)
