# SPDX-License-Identifier: Apache-2.0
"""
What a user would take instead of the module, each from its configuration in peers/. peers.py starts and asks them.

A peer is entered with `with`. Then its handler is at /no of bare_port, and guarded at /on of port. missing() says in a
sentence what it lacks. It ends with the block, by its pid.
"""
import contextlib
import importlib.util
import os
import pathlib
import shutil
import socket
import subprocess
import sys
import tempfile

from bench import SERVER_CORE, SIZES, Redis
from bench_httpd import BENCH_MODULE, BenchHttpd, free_port

import env  # noqa: E402 (bench_httpd.py has found it)

HERE = pathlib.Path(__file__).resolve().parent / "peers"
NPM = env.REPO / "build/peers"
PINNED = ["taskset", "-c", str(SERVER_CORE)]
NGINX_MODULES = pathlib.Path("/usr/lib/nginx/modules")
LUA = pathlib.Path("/usr/share/lua/5.1")


class PeerHttpd(BenchHttpd):
    """An httpd with its own section; its handler counts its runs."""

    def __init__(self, modules, guards):
        super().__init__("event", SIZES["event"], command=PINNED, arguments=["-DNO_DETACH", "-DFOREGROUND"])
        self.modules, self.guards = modules, guards

    def write_config(self):
        folder = env.apxs("LIBEXECDIR")
        load = [f"LoadModule {name}_module {folder}/mod_{name}.so"
                for name in ("mpm_event", "authz_core", *self.modules)]
        load.append(f"LoadModule idem_bench_module {BENCH_MODULE}")
        if "IdempotencyEngine" in self.guards:
            load.append(f"LoadModule idempotency_module {env.MODULE}")
        user = f"User {env.USER}\nGroup {env.USER}" if env.ROOT else ""
        conf = self.root / "httpd.conf"
        conf.write_text((HERE / "httpd.conf").read_text().format(
            root=self.root, port=self.port, load="\n".join(load), user=user, sizes=self.sizes,
            guards=self.guards.format(root=self.root)))
        return conf


class Peer:
    """What all have in common; method GET is for a cache, which keeps no answer to a POST."""
    method, recorded, forgets = "POST", 1000, False

    def missing(self):
        return None

    def __enter__(self):
        with contextlib.ExitStack() as stack:
            self.enter(stack)
            self.ends = stack.pop_all()
        return self

    def __exit__(self, *_):
        self.ends.close()


class Module(Peer):
    """Two servers: the bare one is httpd without the module."""
    name = "this module, lmdb"

    def __init__(self, name, store):
        self.name, self.store = name, store

    def enter(self, stack):
        guards = f"IdempotencyStore {self.store}\n<Location /on>\n    IdempotencyEngine On\n</Location>"
        self.bare_port = stack.enter_context(PeerHttpd((), "")).port
        self.port = stack.enter_context(PeerHttpd((), guards)).port


class Cache(Peer):
    """No peer in what it promises: what httpd's own cache in shared memory takes for an answer that it has."""
    name, method = "mod_cache_socache (GET)", "GET"
    # shmcb goes by the first byte of an id, and all URLs begin alike: few fit, and misses drive them out.
    recorded, forgets = 50, True

    def enter(self, stack):
        guards = ('CacheSocache "shmcb:{root}/run/cache(67108864)"\nCacheEnable socache /on\nCacheStoreNoStore On\n'
                  'Header set Cache-Control max-age=3600 "expr=%{{REQUEST_URI}} == \'/on\'"')
        modules = ("headers", "socache_shmcb", "cache", "cache_socache")
        self.port = self.bare_port = stack.enter_context(PeerHttpd(modules, guards)).port


class Process(Peer):
    """One server that is one program, started in a folder of its own with a free port."""

    def enter(self, stack):
        self.port = self.bare_port = free_port()
        self.root = pathlib.Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="idem-peer-")))
        self.root.chmod(0o755)
        output = stack.enter_context(open(self.root / "output", "w+"))
        command = [*PINNED, *self.command(stack)]
        self.process = subprocess.Popen(command, cwd=self.root, stdout=output, stderr=output, env=self.environment(),
                                        start_new_session=True, preexec_fn=env.end_with_parent)
        stack.callback(self.stop)
        env.until(self.is_up, f"{self.name} answers")

    def environment(self):
        return dict(os.environ)

    def stop(self):
        self.process.terminate()
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def is_up(self):
        if self.process.poll() is not None:
            raise RuntimeError(f"{self.name} did not start: {(self.root / 'output').read_text()}")
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1):
            return True


class Nginx(Process):
    def __init__(self, name, store):
        self.name, self.store = name, store

    def missing(self):
        needs = [("libnginx-mod-http-lua", NGINX_MODULES / "ngx_http_lua_module.so"),
                 ("lua-cjson", LUA / "cjson")]
        if self.store == "redis":
            needs.append(("lua-nginx-redis", LUA / "nginx/redis.lua"))
        lacking = [package for package, path in needs if not path.exists()]
        return f"{' and '.join(lacking)}: not installed, run make deps" if lacking else None

    def command(self, stack):
        redis = stack.enter_context(Redis()).port if self.store == "redis" else 0
        conf, text = self.root / "nginx.conf", (HERE / "nginx.conf").read_text()
        words = {"modules": NGINX_MODULES, "root": self.root, "here": HERE, "port": self.port, "store": self.store,
                 "user": f"user {env.USER};" if env.ROOT else "", "redis": redis}
        for word, value in words.items():
            text = text.replace("{" + word + "}", str(value))
        conf.write_text(text)
        return [env.program("nginx"), "-c", str(conf), "-p", str(self.root), "-e", str(self.root / "error.log")]


class Node(Process):
    def __init__(self, name, script):
        self.name, self.script = name, script

    def missing(self):
        if not shutil.which("node") or not shutil.which("npm"):
            return "node or npm is not installed"
        lock = (HERE / "package-lock.json").read_bytes()
        there = NPM / "node_modules/.of-this-lock"
        if there.exists() and there.read_bytes() == lock:
            return None
        NPM.mkdir(parents=True, exist_ok=True)
        for name in ("package.json", "package-lock.json"):
            shutil.copy(HERE / name, NPM)
        done = subprocess.run(["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"], cwd=NPM,
                              capture_output=True, text=True, timeout=600, check=False)
        if done.returncode:
            said = [line[len("npm error "):] for line in done.stderr.splitlines() if line.startswith("npm error ")]
            return f"npm could not bring its packages: {'; '.join(said[:2]) or 'it does not say why'}"
        there.write_bytes(lock)
        return None

    def command(self, stack):
        return ["node", str(HERE / self.script), str(self.port)]

    def environment(self):
        """A script finds packages in NODE_PATH, since it is not in their folder."""
        return {**os.environ, "NODE_ENV": "production", "NODE_PATH": str(NPM / "node_modules"),
                "PEERS_HERE": str(HERE)}


class Asgi(Process):
    name = "Starlette, ASGI middleware, memory"

    def missing(self):
        lacking = [name for name in ("uvicorn", "starlette") if not importlib.util.find_spec(name)]
        return f"{' and '.join(lacking)}: not installed, run make deps" if lacking else None

    def command(self, stack):
        return [sys.executable, "-m", "uvicorn", "--app-dir", str(HERE), "--port", str(self.port), "--log-level",
                "warning", "--no-access-log", "asgi:app"]

    def environment(self):
        return {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}


# What PEERS= names, in the order of the table.
PEERS = {
    "module": lambda: Module("this module, lmdb sync=off", "lmdb:{root}/store sync=off size=4G"),
    "module-durable": lambda: Module("this module, lmdb", "lmdb:{root}/store size=4G"),
    "nginx-dict": lambda: Nginx("nginx, Lua, shared dict", "dict"),
    "nginx-redis": lambda: Nginx("nginx, Lua, Redis", "redis"),
    "fastify": lambda: Node("Fastify, @node-idempotency/core, memory", "fastify.cjs"),
    "express": lambda: Node("Express, express-idempotency, memory", "express.cjs"),
    "cache": Cache,
    "asgi": Asgi,
}
