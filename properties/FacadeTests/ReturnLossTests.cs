using TorchSharp;
using Xunit;

namespace ValueFlow.FacadeTests;

/// <summary>Losses of return laws as somebody uses them who trains with TorchSharp, or with code of one's own.</summary>
public class ReturnLossTests
{
    private static readonly ReturnSupport Support = new(-1, 1, 5);

    [Fact]
    public void AProjectedLawKeepsItsMassAndMean()
    {
        float[] projected = ReturnLoss.Project(Support, [0.1f, 0.25f], [0.5f, 0], [0.25f, 0.25f, 0, 0.25f, 0.25f, 0, 0, 0, 0, 1]);
        Assert.Equal(1, projected[..5].Sum(), 1e-6);
        Assert.Equal(0.1, projected[..5].Select((mass, i) => mass * Support.Atoms[i]).Sum(), 1e-6);
        Assert.Equal([0, 0, 0.5f, 0.5f, 0], projected[5..]);
        Span<float> into = stackalloc float[5];
        Assert.Equal(1, ReturnLoss.Project(Support, [9f], [1f], [0, 0, 1, 0, 0], into));
        Assert.Equal(1, into[4]);
    }

    [Fact]
    public void ANetworkOfOneQuantileLearnsTheMedian()
    {
        using var scope = torch.NewDisposeScope();
        using var quantile = torch.nn.Parameter(torch.zeros(1, 1));
        var adam = torch.optim.Adam([quantile], 0.05);
        var targets = torch.tensor(new float[] { 1, 2, 3, 4, 50 }).reshape(1, 5);
        for (int step = 0; step < 400; step++)
        {
            using var inner = torch.NewDisposeScope();
            adam.zero_grad();
            ReturnLoss.QuantileHuber(quantile, targets, new() { Kappa = 0 }).backward();
            adam.step();
        }

        Assert.Equal(3, quantile.ToDouble(), 0.2);
    }

    [Fact]
    public void TensorsAndPlainMemoryAgree()
    {
        using var scope = torch.NewDisposeScope();
        float[] predictions = [0, 1, 2, -1, 0, 3], targets = [0.5f, -2, 1, 4], gradient = new float[6];
        QuantileLossOptions options = new() { Kappa = 0.5, DividesByKappa = false, Levels = [0.1, 0.5, 0.9] };
        double loss = ReturnLoss.QuantileHuber(3, predictions, targets, gradient, options);
        var leaf = torch.tensor(predictions).reshape(2, 3).requires_grad_();
        var tensor = ReturnLoss.QuantileHuber(leaf, torch.tensor(targets).reshape(2, 2), options);
        tensor.backward();
        Assert.Equal(loss, tensor.ToDouble(), 1e-6);
        Assert.Equal(gradient, leaf.grad!.data<float>().ToArray());
        Assert.Equal(loss, ReturnLoss.QuantileHuber(3, predictions, targets, [], options));
    }

    [Fact]
    public void ClassificationLossesAreLeastAtTheirTargets()
    {
        using var scope = torch.NewDisposeScope();
        var values = torch.tensor(new[] { 0.25f, -0.9f });
        var masses = torch.tensor(new float[] { 0, 0, 0.5f, 0.5f, 0, 0.8f, 0.2f, 0, 0, 0 }).reshape(2, 5);
        var logits = masses.add(1e-6).log();
        double least = ReturnLoss.TwoHot(Support, logits, values).ToDouble();
        Assert.Equal(ReturnLoss.Categorical(logits, masses).ToDouble(), least, 1e-5);
        Assert.True(least < ReturnLoss.TwoHot(Support, torch.zeros(2, 5), values).ToDouble());
        Assert.Equal(Math.Log(5), ReturnLoss.HlGauss(Support, torch.zeros(2, 5), values).ToDouble(), 1e-5);
    }

    [Fact]
    public void CloudsAtRestAreAtDistanceZero()
    {
        using var scope = torch.NewDisposeScope();
        var cloud = torch.tensor(new float[] { 0, 1, 2, 3 }).reshape(1, 2, 2);
        foreach (var kernel in new[] { null, ParticleKernel.Energy(), ParticleKernel.Gaussian(0.5, 2), ParticleKernel.InverseMultiquadric(1) })
        {
            Assert.Equal(0, ReturnLoss.SquaredMmd(cloud, cloud, kernel).ToDouble(), 1e-6);
            Assert.True(ReturnLoss.SquaredMmd(cloud, cloud.add(1), kernel).ToDouble() > 0.01);
        }
    }

    [Fact]
    public void WhatDoesNotFitIsNamed()
    {
        using var scope = torch.NewDisposeScope();
        var row = torch.zeros(1, 3);
        Assert.Equal("predictions", Assert.Throws<ArgumentException>(() => ReturnLoss.QuantileHuber(row, row, new() { Levels = [0.5] })).ParamName);
        Assert.Equal("predictions", Assert.Throws<ArgumentException>(() => ReturnLoss.QuantileHuber(torch.zeros(3), row)).ParamName);
        Assert.Contains("row 0, column 1", Assert.Throws<ArgumentException>(() => ReturnLoss.QuantileHuber(2, [0, float.NaN], [1], [])).Message);
        Assert.Contains("-1", Assert.Throws<ArgumentException>(() => ReturnLoss.QuantileHuber(2, [0, 1], [1], [], new() { Kappa = -1 })).Message);
        Assert.Equal("largest", Assert.Throws<ArgumentException>(() => new ReturnSupport(0, 0, 2)).ParamName);
        Assert.Throws<ArgumentNullException>(() => ReturnLoss.Categorical(row, null!));
    }
}
