"""The wire: every JSON body that enters or leaves the server, defined once.

Pages show the same objects through templates, so a page and its JSON twin cannot disagree.
All addresses are root-relative.  All numbers of a pair are *oriented*: ``value`` is
``sign * coefficient`` and words carry the sign of the oriented direction.
"""

from backend.server.schemas.ablations import MAX_FACTOR as MAX_FACTOR
from backend.server.schemas.ablations import MAX_PARTS as MAX_PARTS
from backend.server.schemas.ablations import Ablation as Ablation
from backend.server.schemas.ablations import AblationRequest as AblationRequest
from backend.server.schemas.ablations import Fill as Fill
from backend.server.schemas.ablations import RankedPrompt as RankedPrompt
from backend.server.schemas.ablations import Standing as Standing
from backend.server.schemas.attributions import MAX_MAPS as MAX_MAPS
from backend.server.schemas.attributions import Attribution as Attribution
from backend.server.schemas.attributions import AttributionRequest as AttributionRequest
from backend.server.schemas.attributions import CellDecision as CellDecision
from backend.server.schemas.attributions import HeadPart as HeadPart
from backend.server.schemas.attributions import NeuronPart as NeuronPart
from backend.server.schemas.attributions import PairHeatmap as PairHeatmap
from backend.server.schemas.attributions import PairPart as PairPart
from backend.server.schemas.attributions import Region as Region
from backend.server.schemas.attributions import Remainder as Remainder
from backend.server.schemas.attributions import TokenParts as TokenParts
from backend.server.schemas.base import ErrorBody as ErrorBody
from backend.server.schemas.base import ErrorDetail as ErrorDetail
from backend.server.schemas.base import Wire as Wire
from backend.server.schemas.certainty import BesideNeuron as BesideNeuron
from backend.server.schemas.certainty import Certainty as Certainty
from backend.server.schemas.certainty import Interval as Interval
from backend.server.schemas.collections import MAX_COLLECTED as MAX_COLLECTED
from backend.server.schemas.collections import (
    MAX_ENTRY_NOTE_CHARACTERS as MAX_ENTRY_NOTE_CHARACTERS,
)
from backend.server.schemas.collections import CollectedPair as CollectedPair
from backend.server.schemas.collections import Collection as Collection
from backend.server.schemas.collections import CollectionEntry as CollectionEntry
from backend.server.schemas.collections import CollectionFile as CollectionFile
from backend.server.schemas.finder import FinderQuery as FinderQuery
from backend.server.schemas.finder import FoundPair as FoundPair
from backend.server.schemas.finder import FoundPairs as FoundPairs
from backend.server.schemas.health import Health as Health
from backend.server.schemas.images import ImageCreated as ImageCreated
from backend.server.schemas.images import ImageRequest as ImageRequest
from backend.server.schemas.images import PictureRequest as PictureRequest
from backend.server.schemas.images import ResultRequest as ResultRequest
from backend.server.schemas.images import UploadedImage as UploadedImage
from backend.server.schemas.maps import MapCluster as MapCluster
from backend.server.schemas.maps import PairMap as PairMap
from backend.server.schemas.models import ModelDetail as ModelDetail
from backend.server.schemas.models import Models as Models
from backend.server.schemas.models import ModelSummary as ModelSummary
from backend.server.schemas.options import Method as Method
from backend.server.schemas.options import SegmentationOptions as SegmentationOptions
from backend.server.schemas.options import SegmentationSettings as SegmentationSettings
from backend.server.schemas.pairs import CoactivePair as CoactivePair
from backend.server.schemas.pairs import CosineStep as CosineStep
from backend.server.schemas.pairs import ExemplarImage as ExemplarImage
from backend.server.schemas.pairs import Histogram as Histogram
from backend.server.schemas.pairs import NearPair as NearPair
from backend.server.schemas.pairs import Pair as Pair
from backend.server.schemas.pairs import PairSummary as PairSummary
from backend.server.schemas.pairs import Thumbnail as Thumbnail
from backend.server.schemas.pairs import Word as Word
from backend.server.schemas.provenance import ExactnessCheck as ExactnessCheck
from backend.server.schemas.provenance import ExactnessReport as ExactnessReport
from backend.server.schemas.provenance import Provenance as Provenance
from backend.server.schemas.provenance import StoredArray as StoredArray
from backend.server.schemas.provenance import StoredFile as StoredFile
from backend.server.schemas.search import MAX_QUERY_CHARACTERS as MAX_QUERY_CHARACTERS
from backend.server.schemas.search import MAX_RESULTS as MAX_RESULTS
from backend.server.schemas.search import SearchResult as SearchResult
from backend.server.schemas.search import SearchResults as SearchResults
from backend.server.schemas.segmentations import MAX_LOGITS as MAX_LOGITS
from backend.server.schemas.segmentations import MAX_PROMPT_CHARACTERS as MAX_PROMPT_CHARACTERS
from backend.server.schemas.segmentations import MAX_PROMPTS as MAX_PROMPTS
from backend.server.schemas.segmentations import MethodResult as MethodResult
from backend.server.schemas.segmentations import Segmentation as Segmentation
from backend.server.schemas.segmentations import SegmentationClass as SegmentationClass
from backend.server.schemas.segmentations import SegmentationRequest as SegmentationRequest
from backend.server.schemas.segmentations import Timings as Timings
from backend.server.schemas.shares import MAX_NOTE_CHARACTERS as MAX_NOTE_CHARACTERS
from backend.server.schemas.shares import MAX_TITLE_CHARACTERS as MAX_TITLE_CHARACTERS
from backend.server.schemas.shares import MAX_VIEW_CHARACTERS as MAX_VIEW_CHARACTERS
from backend.server.schemas.shares import DeleteToken as DeleteToken
from backend.server.schemas.shares import Share as Share
from backend.server.schemas.shares import ShareCreated as ShareCreated
from backend.server.schemas.shares import ShareRequest as ShareRequest
from backend.server.schemas.units import DEFAULT_SPLITS as DEFAULT_SPLITS
from backend.server.schemas.units import MAX_SPLITS as MAX_SPLITS
from backend.server.schemas.units import Head as Head
from backend.server.schemas.units import HeadWord as HeadWord
from backend.server.schemas.units import Neuron as Neuron
from backend.server.schemas.units import NeuronHead as NeuronHead
from backend.server.schemas.units import Split as Split
from backend.server.schemas.units import Splits as Splits
from backend.server.schemas.units import Subconcept as Subconcept
from backend.server.schemas.units import Unit as Unit
from backend.server.schemas.units import UnitImage as UnitImage
from backend.server.schemas.units import WordsReached as WordsReached
from backend.server.schemas.words import DistinctWord as DistinctWord
from backend.server.schemas.words import NearWord as NearWord
