"""What a router gives a nested model: only the branches that an image needs, and whether it needs any."""

from __future__ import annotations

from torch import Tensor

from timm_nhl.errors import OptionError
from timm_nhl.models.routing.choose import choose
from timm_nhl.models.routing.router import Router
from timm_nhl.models.routing.run import run
from timm_nhl.models.timm_model import TimmModel

KEEP = 0.98  # half a point of top-1 on icons, at two thirds of the plain network's MACs (docs/decisions/0040)


class RoutedModel(TimmModel):
    """A nested model that may have a router; without one its methods here raise OptionError."""

    router: Router | None

    def forward_scores(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Logits and the router's scores, from one run of the trunk: (B, in_chans, H, W) -> (B, K), (B, G).

        What a training needs: logits alone give the router no gradient.
        """
        router = self._find_router("scores groups")
        x = self.trunk(x)  # (B, in_chans, H, W) -> (B, C, h, w)
        scores = router(x)
        for level in self.levels:
            x = level(x)
        logits: Tensor = self.head(x)
        return logits, scores

    @property
    def group_columns(self) -> Tensor:
        """For each group, in node order, its column in the scores."""
        return self._find_router("scores groups").own

    def route(self, images: Tensor, keep: float = KEEP) -> Tensor:
        """The logits of the most likely groups, by running only their branches: (B, in_chans, H, W) -> (B, K).

        The logits of their classes are the same numbers as in `forward`, those of all other classes are -inf.
        `CostCounter.routed` counts what ran.

        Args:
            keep: a share of the probability, which the fewest groups hold that run for an image: easy images cost
                less. Or, as a whole number, how many groups run: a bound of the cost.

        Raises:
            OptionError: `keep` is neither; or there is no router, it was never trained, or the model is in train mode.
        """
        router = self._find_trained_router("routes")
        features = self.trunk(images)
        wanted = choose(router.probabilities(router(features)), keep)
        return run(self.each_level(), self.head, self.hierarchy, features, wanted)

    def forward_with_none(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Logits, and the probability that an image is of none of these classes: (B, ...) -> (B, K), (B,).

        The probability is that of the groups which the model does not have; 0 in a network that was not cut.

        Raises:
            OptionError: as `route`.
        """
        router = self._find_trained_router("says whether an image is of none of these classes")
        logits, scores = self.forward_scores(images)
        return logits, router.none_of_these(scores)

    def _find_router(self, what: str) -> Router:
        if self.router is None:
            raise OptionError(
                f"this model has no router, which {what}; train one with router=True (timm-nhl train --router)"
            )
        return self.router

    def _find_trained_router(self, what: str) -> Router:
        router = self._find_router(what)
        if self.training:
            raise OptionError(f"in train mode norms depend on the batch, so no router {what}; call model.eval()")
        if not bool(router.fc.weight.any()):
            raise OptionError(
                "the router was never trained: all groups are equally likely; use timm-nhl train --router"
            )
        return router
