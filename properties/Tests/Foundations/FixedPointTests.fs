module ValueFlow.Tests.Foundations.FixedPointTests

open Xunit
open ValueFlow.Core.Foundations

[<Fact>]
let ``a contraction is certified within its tolerance`` () =
    let halve =
        Operator.onVectors "x/2 + 1" 0.5 (Array.map (fun x -> x / 2.0 + 1.0))
        |> Operator.roundedBy (fun x -> 2.0 * Bound.unitRoundoff * (1.0 + Metric.sup.Distance x (Array.zeroCreate x.Length)))

    let result = FixedPoint.picard RunOptions.standard halve [| 0.0; 5.0; -7.0 |]
    Assert.Equal(Outcome.Converged, result.Outcome)
    Assert.Equal(Certificate.Contraction, result.Certificate)
    Assert.True(Metric.sup.Distance result.Value [| 2.0; 2.0; 2.0 |] <= result.Bound)
    Assert.True(result.Bound <= 1e-8)
