"""The scoring script under BentoML, which parses the body before it calls it."""

import bentoml
import score


@bentoml.service(workers=1)
class Spin90:
    def __init__(self) -> None:
        score.init()

    @bentoml.api(route="/score")
    def score(self, data: list[list[float]]) -> dict[str, object]:
        return score.run(data)  # it takes the length and reads nothing
