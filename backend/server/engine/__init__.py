"""The device's thread and the queue in front of it.

The engine knows nothing of CLIP or HTTP: ``Model`` is whatever the loader returns.
"""

from backend.server.engine.engine import Engine as Engine
from backend.server.engine.engine import LiveStatus as LiveStatus
from backend.server.engine.engine import Watcher as Watcher
from backend.server.engine.errors import BusyError as BusyError
from backend.server.engine.errors import DeadlineError as DeadlineError
from backend.server.engine.errors import DrainingError as DrainingError
from backend.server.engine.errors import EngineError as EngineError
from backend.server.engine.errors import LoadError as LoadError
from backend.server.engine.errors import ModelLoadingError as ModelLoadingError
from backend.server.engine.errors import ModelUnavailableError as ModelUnavailableError
from backend.server.engine.work import Clock as Clock
from backend.server.engine.work import Passes as Passes
