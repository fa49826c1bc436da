using Microsoft.FSharp.Collections;
using Microsoft.FSharp.Core;
using TorchSharp;
using ValueFlow.Core.Foundations;
using Operators = ValueFlow.Core.Foundations.Operator;

namespace ValueFlow;

/// <summary>
/// A pure function on tensors of float64, and the modulus that is claimed of it in the sup norm. Needs libtorch (InvalidOperationException without).
/// The operator of a problem owns tensors, which Dispose frees; those that are made from it borrow them, and are of no use afterwards.
/// </summary>
public sealed class TensorOperator : IDisposable
{
    private readonly IDisposable? owned;

    internal TensorOperator(Operator<torch.Tensor> core, IDisposable? owned = null) => (Core, this.owned) = (core, owned);

    internal Operator<torch.Tensor> Core { get; }

    /// <summary>An operator of one's own.</summary>
    /// <param name="name">Its name in reports.</param>
    /// <param name="modulus">sup |T x - T y| is at most this times sup |x - y|; not negative. Your word: check it with the laws.</param>
    /// <param name="apply">The function. It leaves its argument as it is and returns a fresh tensor, which the caller frees; tensors on the way are freed for it.</param>
    public static TensorOperator From(string name, double modulus, Func<torch.Tensor, torch.Tensor> apply)
    {
        ArgumentException.ThrowIfNullOrEmpty(name);
        ArgumentNullException.ThrowIfNull(apply);
        ValueOperator.RequireModulus(modulus);
        Lifetime.requireTorch();
        torch.Tensor Kept(torch.Tensor values) => Lifetime.keep(FuncConvert.FromFunc(() => apply(values)));
        return new(Operators.claiming(TensorMetric.sup(), modulus, Operators.create(name, Space.tensors(), FuncConvert.FromFunc<torch.Tensor, torch.Tensor>(Kept))));
    }

    /// <summary>The name.</summary>
    public string Name => Core.Name;

    /// <summary>The modulus that is claimed in the sup norm; infinite if none is.</summary>
    public double Modulus => ValueOperator.ModulusOf(Core);

    /// <summary>T x, a fresh tensor that the caller frees.</summary>
    public torch.Tensor Apply(torch.Tensor values)
    {
        ArgumentNullException.ThrowIfNull(values);
        return Core.Apply.Invoke(values);
    }

    /// <summary>First this operator, then the other. Moduli multiply.</summary>
    public TensorOperator Then(TensorOperator other) => new(Operators.compose(Given(other), Core));

    /// <summary>(1 - weight) T + weight S, for a weight in [0, 1]. Moduli are averaged.</summary>
    public TensorOperator Mix(double weight, TensorOperator other) =>
        new(Operators.mix(ListModule.OfSeq([Tuple.Create(1 - weight, Core), Tuple.Create(weight, Given(other))])));

    /// <summary>The operator, count times; at least once.</summary>
    public TensorOperator Power(int count) => new(Operators.power(count, Core));

    /// <summary>(1 - step) x + step T x, for a step in (0, 1]: the same fixed points.</summary>
    public TensorOperator Damp(double step) => new(Operators.damp(step, Core));

    /// <summary>Frees the tensors of a problem's operator.</summary>
    public void Dispose() => owned?.Dispose();

    private static Operator<torch.Tensor> Given(TensorOperator other)
    {
        ArgumentNullException.ThrowIfNull(other);
        return other.Core;
    }
}
