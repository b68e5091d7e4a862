import torch

from dsm.inference.host_organ import covered_fraction, host_region, keep_parts_at


def logits_of(*boxes, size=(20, 12, 12)):
    logits = torch.full(size, -5.0)
    for start, stop in boxes:
        logits[tuple(slice(a, b) for a, b in zip(start, stop, strict=True))] = 3.0
    return logits


def nowhere_else(voxels):
    return torch.zeros(int(voxels.sum()), dtype=torch.bool)


ORGAN = ((2, 2, 2), (8, 10, 10))


def test_region_is_the_largest_component_with_a_margin():
    region = host_region(torch.stack([logits_of(ORGAN, ((17, 2, 2), (19, 4, 4)))]))
    assert region[0:10, 5, 5].all()
    assert not region[10:, :, :].any()


def test_region_covers_all_hosts():
    region = host_region(torch.stack([logits_of(ORGAN), logits_of(((15, 2, 2), (18, 6, 6)))]))
    assert region[4, 5, 5]
    assert region[16, 4, 4]


def test_parts_away_from_the_host_are_dropped_and_others_kept_whole():
    region = host_region(torch.stack([logits_of(ORGAN)]))
    grown_out = ((7, 4, 4), (14, 7, 7))  # from the organ far outward: stays whole
    far = ((17, 9, 9), (19, 11, 11))
    logits = logits_of(grown_out, far)
    kept = keep_parts_at(region, logits, threshold=0.5, belongs_elsewhere=nowhere_else)
    assert torch.equal(kept > 0, logits_of(grown_out) > 0)
    assert (logits > 0)[18, 10, 10]  # the input is not changed


def test_nothing_is_dropped_without_a_host():
    logits = logits_of(((17, 9, 9), (19, 11, 11)))
    region = host_region(torch.full((1, 20, 12, 12), -5.0))
    assert torch.equal(keep_parts_at(region, logits, threshold=0.5, belongs_elsewhere=nowhere_else), logits)


def test_parts_depend_on_the_threshold():
    region = host_region(torch.stack([logits_of(ORGAN)]))
    logits = logits_of(((6, 4, 4), (8, 7, 7)), ((15, 4, 4), (17, 7, 7)))
    logits[8:15, 5, 5] = -0.5  # a bridge of probability 0.38
    assert not keep_parts_at(region, logits, threshold=0.5, belongs_elsewhere=nowhere_else)[16, 5, 5] > 0
    assert keep_parts_at(region, logits, threshold=0.3, belongs_elsewhere=nowhere_else)[16, 5, 5] > 0


def test_part_mostly_inside_another_organ_is_dropped():
    region = host_region(torch.stack([logits_of(ORGAN)]))
    logits = logits_of(((6, 3, 3), (9, 5, 5)), ((6, 7, 7), (9, 10, 10)))
    gallbladder = torch.zeros_like(logits, dtype=torch.bool)
    gallbladder[6:9, 7:10, 7:10] = True  # all of the second part
    gallbladder[8, 3:5, 3:5] = True  # a third of the first
    kept = keep_parts_at(region, logits, threshold=0.5, belongs_elsewhere=lambda voxels: gallbladder[voxels])
    assert torch.equal(kept > 0, logits_of(((6, 3, 3), (9, 5, 5))) > 0)


def test_covered_fraction_of_a_region():
    region = logits_of(ORGAN).numpy() > 0
    half = logits_of(((2, 2, 2), (5, 10, 10)), ((15, 2, 2), (18, 6, 6)))
    assert covered_fraction(region, half, threshold=0.5) == 0.5
    assert covered_fraction(region, half, threshold=0.99) == 0
