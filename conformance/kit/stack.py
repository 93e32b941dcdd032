"""PostgreSQL, Redis and proxies of one LiteLLM release on loopback, all of them children of this process."""
import json
import os
import pathlib
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
import time

from api import MASTER_KEY, call
from base import CACHE, KIT, end, free_port
from install import only_one, postgres_programs

# The models. Every answer has 20 tokens and only those cost something: how many LiteLLM finds in a question depends on its release.
# The first two are answered by LiteLLM itself, the others by `provider`.
MODELS = {
    'gpt-mock': {'model': 'openai/gpt-4o-mini', 'output_cost_per_token': 0.000025, 'mock_response': 'Hello from the mock.'},
    'gpt-costly': {'model': 'openai/gpt-4o-mini', 'output_cost_per_token': 0.025, 'mock_response': 'Hello from the mock.'},
    'gpt-slow': {'model': 'openai/slow', 'output_cost_per_token': 0.02},
    'gpt-stuck': {'model': 'openai/stuck', 'output_cost_per_token': 0.02},
}


class Stack:
    """What runs. stop() ends all of it, whatever state it is in."""

    def __init__(self, installation, options):
        self.i, self.options = installation, options
        self.run = pathlib.Path(tempfile.mkdtemp(prefix='litellm-conformance-'))
        self.run.chmod(0o755)  # PostgreSQL does not run as root, and must find its directory
        self.keeper = subprocess.Popen([sys.executable, KIT / 'keeper', self.run], stdin=subprocess.PIPE, text=True, cwd='/', start_new_session=True)
        self.children = []  # (name, process), in the order of their start
        self.urls = []

    def spawn(self, name, argv, environment=None, user=None):
        # setpriv: when this process is killed they are told to end; the keeper sees to it that they do.
        drop = ['--reuid', user, '--regid', user, '--init-groups'] if user else []
        with open(self.run / (name + '.log'), 'ab') as log:
            process = subprocess.Popen(['setpriv', '--pdeathsig', 'TERM', *drop, '--', *map(str, argv)], stdin=subprocess.DEVNULL,
                                       stdout=log, stderr=log, cwd=self.run, env=environment, start_new_session=True)
        self.children.append((name, process))
        print(process.pid, file=self.keeper.stdin, flush=True)
        return process

    def start(self):
        self.start_postgres()
        self.start_redis()
        self.make_tables()
        self.start_proxies()
        self.check_that_nobody_else_can_connect()

    # PostgreSQL: a cluster of its own, which is thrown away. Run by root, it runs as Debian's user postgres.
    def start_postgres(self):
        self.pg_port = free_port()
        self.pg = {'PATH': os.environ['PATH'], 'LC_ALL': 'C', 'PGHOST': '127.0.0.1', 'PGPORT': str(self.pg_port), 'PGUSER': 'postgres', 'PGDATABASE': 'litellm'}
        programs, data = postgres_programs(), self.run / 'postgres'
        data.mkdir(0o700)
        user = None
        if os.geteuid() == 0:
            user = 'postgres'
            shutil.chown(data, user, user)
        initdb = [programs / 'initdb', '-D', data, '-A', 'trust', '-U', 'postgres', '-N', '-E', 'UTF8', '--locale=C']
        if self.spawn('initdb', initdb, user=user).wait():
            end('initdb failed: ' + self.tail('initdb'))
        self.spawn('postgres-server', [programs / 'postgres', '-D', data, '-p', self.pg_port, '-c', 'listen_addresses=127.0.0.1', '-k', '',
                                       '-c', 'fsync=off', '-c', 'max_connections=200'], user=user)
        self.wait_for('postgres-server', lambda: self.psql('-c', 'select 1', database='postgres', check=False).returncode == 0)
        self.psql('-c', 'CREATE DATABASE litellm', database='postgres')

    def psql(self, *args, database='litellm', check=True):
        done = subprocess.run(['psql', '-X', '-q', '-v', 'ON_ERROR_STOP=1', '-d', database, *map(str, args)], env=self.pg, capture_output=True, text=True)
        if check and done.returncode:
            end('psql: ' + done.stderr)
        return done

    def make_tables(self):
        """From the release's own migrations, once; then from what they made."""
        with only_one():
            if self.i.tables.exists():
                self.psql('-f', self.i.tables)
                return
            for migration in sorted((self.i.packages / 'litellm_proxy_extras/migrations').glob('*/migration.sql')):
                self.psql('-f', migration)
            lacking = KIT / 'tables' / (self.i.root.name + '.sql')
            if lacking.exists():
                self.psql('-f', lacking)
            made = subprocess.run([postgres_programs() / 'pg_dump', '--no-owner', '--file', str(self.i.tables) + '.new'], env=self.pg, capture_output=True, text=True)
            if made.returncode:
                end('pg_dump: ' + made.stderr)
            os.replace(str(self.i.tables) + '.new', self.i.tables)

    # Redis. One that ends is started again, as systemd would, with the snapshot and the users that it finds: `redis-cli save`,
    # and later `redis-cli shutdown nosave`, give a Redis that has lost its last seconds.
    def start_redis(self):
        self.redis_port = free_port()
        self.users = self.run / 'users.acl'
        self.users.touch()
        self.redis = self.spawn_redis()

    def spawn_redis(self):
        return self.spawn('redis', ['redis-server', '--port', self.redis_port, '--bind', '127.0.0.1', '--save', '', '--appendonly', 'no',
                                    '--dir', self.run, '--aclfile', self.users])

    def revive(self):
        if self.redis.poll() is not None:
            self.children = [(name, p) for name, p in self.children if p is not self.redis]
            self.redis = self.spawn_redis()

    def start_proxies(self):
        provider = free_port()
        self.spawn('provider', [sys.executable, KIT / 'provider', provider])
        settings = {'telemetry': False}
        if self.options.redis:
            settings['cache'] = True
            settings['cache_params'] = {'type': 'redis', 'host': '127.0.0.1', 'port': self.redis_port, 'supported_call_types': []}
            if self.options.namespace:
                settings['cache_params']['namespace'] = self.options.namespace
        config = self.run / 'config.yaml'
        config.write_text(json.dumps({  # YAML, too
            'model_list': [{'model_name': name, 'litellm_params': {**params, 'input_cost_per_token': 0, 'api_key': 'sk-none', 'api_base': 'http://127.0.0.1:%d/v1' % provider}} for name, params in MODELS.items()],
            'litellm_settings': settings,
            'general_settings': {'master_key': MASTER_KEY, 'database_url': 'os.environ/DATABASE_URL', 'disable_prisma_schema_update': True},
        }, indent=1))
        environment = {
            **self.i.environment(), 'HOME': str(self.run), 'CONFIG_FILE_PATH': str(config), 'DATABASE_URL': self.database_url(), 'PYTHONUNBUFFERED': '1',
            'LITELLM_MASTER_KEY': MASTER_KEY, 'LITELLM_SALT_KEY': 'sk-salt-1234', 'LITELLM_MODE': 'PRODUCTION', 'LITELLM_LOCAL_MODEL_COST_MAP': 'True', 'DISABLE_SCHEMA_UPDATE': 'true',
            'PROXY_BATCH_WRITE_AT': '2',  # spend reaches the database 2 to 7 seconds after its request
            **dict(e.split('=', 1) for e in self.options.env),
        }
        for n in range(self.options.proxies):
            port = free_port()
            self.urls.append('http://127.0.0.1:%d' % port)
            self.spawn('proxy%d' % n, [self.i.python, '-m', 'uvicorn', 'litellm.proxy.proxy_server:app', '--host', '127.0.0.1', '--port', port], environment)
        for n, url in enumerate(self.urls):
            self.wait_for('proxy%d' % n, lambda: self.answers(url), seconds=300)

    def answers(self, url):
        try:
            return call(url, '/health/readiness', timeout=5)[0] == 200
        except OSError:
            return False

    def database_url(self):
        return 'postgresql://postgres@127.0.0.1:%d/litellm' % self.pg_port

    def wait_for(self, name, condition, seconds=60):
        process = next(p for n, p in self.children if n == name)
        for_so_long = time.monotonic() + seconds
        while not condition():
            if process.poll() is not None:
                end('%s ended with %d:\n%s' % (name, process.returncode, self.tail(name)))
            if time.monotonic() > for_so_long:
                end('%s is not ready after %d s:\n%s' % (name, seconds, self.tail(name)))
            time.sleep(0.2)

    def tail(self, name):
        return (self.run / (name + '.log')).read_text(errors='replace')[-3000:]

    def check_that_nobody_else_can_connect(self):
        """No child, and no child of one, may listen on anything but loopback."""
        ours = set()
        for stat in pathlib.Path('/proc').glob('[0-9]*/stat'):
            try:
                session = int(stat.read_text().rsplit(')', 1)[1].split()[3])
                if session in (p.pid for _, p in self.children):
                    ours.update(os.readlink(fd) for fd in (stat.parent / 'fd').iterdir())
            except OSError:  # it ended meanwhile
                pass
        for table in ('tcp', 'tcp6'):
            for line in pathlib.Path('/proc/net', table).read_text().splitlines()[1:]:
                fields = line.split()
                address, state, inode = fields[1].split(':')[0], fields[3], fields[9]
                loopback = address in ('0100007F', '00000000000000000000000001000000', '0000000000000000FFFF00000100007F')
                if state == '0A' and not loopback and 'socket:[%s]' % inode in ours:
                    end('something of this stack listens on %s, which is not loopback' % fields[1])

    def stop(self):
        """The last started first; each with what it has started, and PostgreSQL without waiting for its clients."""
        for name, process in reversed(self.children):
            if process.poll() is None:
                process.send_signal(signal.SIGINT if name == 'postgres-server' else signal.SIGTERM)
        for name, process in reversed(self.children):
            try:
                process.wait(8)
            except subprocess.TimeoutExpired:
                pass
        self.keeper.stdin.close()
        for _, process in [*self.children, ('keeper', self.keeper)]:
            process.wait()
