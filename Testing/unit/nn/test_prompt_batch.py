import pytest
import torch

from dsm.nn.prompt_batch import PromptBatch


@pytest.mark.parametrize("is_tumor", [False, True])
def test_from_text_has_no_query_indices(is_tumor):
    batch = PromptBatch.from_text(torch.rand(3, 5), is_tumor=is_tumor)
    assert len(batch) == 3
    assert batch.organ_index.tolist() == batch.tumor_index.tolist() == [-1, -1, -1]
    assert batch.is_tumor.tolist() == [is_tumor] * 3
    assert batch.is_tumor.dtype == torch.bool
