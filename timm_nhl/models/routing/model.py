"""What a router gives a nested model: only the branches that an image needs, and whether it needs any."""

from __future__ import annotations

from torch import Tensor

from timm_nhl.errors import OptionError
from timm_nhl.models.routing.choose import choose, find_likely_nodes
from timm_nhl.models.routing.router import Router
from timm_nhl.models.routing.run import run
from timm_nhl.models.timm_model import TimmModel


class RoutedModel(TimmModel):
    """A nested model that may have a router; without one its methods here raise OptionError."""

    router: Router | None

    def forward_scores(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Logits and the router's scores, from one run of the trunk: (B, in_chans, H, W) -> (B, K), (B, G).

        What a training needs: logits alone give the router no gradient.
        """
        router = self._find_router()
        x = self.trunk(x)  # (B, in_chans, H, W) -> (B, C, h, w)
        scores = router(x)
        for level in self.levels:
            x = level(x)
        logits: Tensor = self.head(x)
        return logits, scores

    def find_group_columns(self) -> Tensor:
        """For each group, in node order, its column in the scores."""
        return self._find_router().own

    def add_router(self) -> Router:
        """Gives a model that has a classifier an untrained router of its groups."""
        groups, like = self.hierarchy.nodes(2), next(self.trunk.parameters())
        with like.device:
            self.router = Router(self.trunk.channels, groups, groups).to(like.dtype).train(self.training)
        self.scored = True
        return self.router

    def route(self, images: Tensor, *, keep: int | None = None, mass: float | None = None) -> Tensor:
        """The logits of the most likely groups, by running only their branches: (B, in_chans, H, W) -> (B, K).

        The logits of their classes are the same numbers as in `forward`, those of all other classes are -inf.
        `CostCounter.routed` counts what ran.

        Args:
            keep: how many groups run at most, which bounds the cost of an image.
            mass: the fewest groups run that hold this share of the probability, so easy images cost less; 0.9 unless
                `keep` or `mass` is given.

        Raises:
            OptionError: a value out of range; or there is no router, it was never trained, or the model is in train
                mode.
        """
        router = self.find_router()
        features = self.trunk(images)
        wanted = choose(router.probabilities(router(features)), keep=keep, mass=mass)
        return run(self.each_level(), self.head, self.hierarchy, features, wanted)

    def forward_with_none(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Logits, and the probability that an image is of none of these classes: (B, ...) -> (B, K), (B,).

        The probability is that of the groups which the model does not have; 0 in a network that was not cut.

        Raises:
            OptionError: as `route`.
        """
        router = self.find_router()
        logits, scores = self.forward_scores(images)
        return logits, router.none_of_these(scores)

    def answer(
        self, images: Tensor, threshold: float = 0.5, *, keep: int | None = None, mass: float | None = None
    ) -> list[str]:
        """The path of the most specific node that is likely enough for each image.

        A class, or its group where no class is likely enough, or its superclass, or `""`: none of these, or unsure.
        What the router gives to the groups that run is divided among their classes by the softmax of the logits.

        Args:
            threshold: the least probability of an answer.
            keep, mass: run only some groups, as in `route`; by default all run.

        Raises:
            OptionError: as `route`; or a threshold that is not above 0 and at most 1.
        """
        if isinstance(threshold, bool) or not 0 < threshold <= 1:
            raise OptionError(f"threshold={threshold!r} is not a probability above 0 and up to 1; use one like 0.5")
        router = self.find_router()
        features = self.trunk(images)
        groups = router.probabilities(router(features))  # (B, N)
        wanted = choose(groups, keep=keep, mass=1 if keep is None and mass is None else mass)
        logits = run(self.each_level(), self.head, self.hierarchy, features, wanted)
        classes = logits.softmax(1) * (groups * wanted).sum(1, keepdim=True)  # (B, K)
        return find_likely_nodes(classes, self.hierarchy, threshold)

    def _find_router(self) -> Router:
        if self.router is None:
            raise OptionError("this model has no router; fit one with timm-nhl router, or train it with router=True")
        return self.router

    def find_router(self) -> Router:
        """The router, if it was trained and the model is in eval mode.

        Raises:
            OptionError: otherwise.
        """
        router = self._find_router()
        if self.training:
            raise OptionError("a router is used in eval mode: in train mode norms depend on the batch; call eval()")
        if not bool(router.fc.weight.any()):
            raise OptionError(
                "the router was never trained: all groups are equally likely; fit it with timm-nhl router"
            )
        return router
